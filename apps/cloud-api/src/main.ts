import { Logger } from '@nestjs/common';
import { createApp } from './app.js';
import { type Config, ConfigError, readConfig } from './config.js';
import { JsonLogger } from './operations/json-logger.js';
import { TextLogger } from './operations/text-logger.js';

function configOrExit(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

// A closed log pipe must not end the process: further lines are dropped.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
const config = configOrExit();
Logger.overrideLogger(config.operations.logFormat === 'json' ? new JsonLogger() : new TextLogger());
// Not debug, which is on by default: the library writes a line there for each message.
Logger.overrideLogger(['fatal', 'error', 'warn', 'log']);
const app = await createApp(config);
// Waits for the devices to be told, and ends with status 0.
app.enableShutdownHooks([], { useProcessExit: true });
await app.listen(config.port, config.host);
new Logger('CloudApi').log(`Listening on ${await app.getUrl()}`);
