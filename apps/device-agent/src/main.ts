import { ConsoleLogger, Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { type Config, ConfigError, readConfig } from './config.js';
import { FirstLogin } from './connection/first-login.js';
import { Systemd } from './service/systemd.js';

/** A service manager need not start it again: it would not help (EX_CONFIG of sysexits.h). */
const EX_CONFIG = 78;

function configOrExit(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    process.exit(EX_CONFIG);
  }
}

const config = configOrExit();
Logger.overrideLogger(new ConsoleLogger({ prefix: 'device-agent' }));
const app = await NestFactory.createApplicationContext(AppModule.with(config));
// Closes the connection in order, and ends with status 0.
app.enableShutdownHooks([], { useProcessExit: true });
app.get(Systemd).ready();
void app.get(FirstLogin).impossible.then(async () => {
  await app.close();
  process.exit(EX_CONFIG);
});
