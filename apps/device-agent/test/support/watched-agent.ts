// The composed agent under a service manager. `SIGUSR2` breaks it, in the way its argument says: what a watchdog is for.
import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FedecksClient } from '@fedecks/nest/client-nest';
import { AppModule } from '../../src/app.module.js';
import { readConfig } from '../../src/config.js';
import { RecentLog } from '../../src/log/recent-log.js';
import { Systemd } from '../../src/service/systemd.js';

const [, , how, blockedForMs] = process.argv;
const say = (line: string): void => console.log(line);
Logger.overrideLogger({ log: say, warn: say, error: say });
const agent = await NestFactory.createApplicationContext(AppModule.with(await readConfig(), new RecentLog()));
agent.enableShutdownHooks(['SIGTERM'], { useProcessExit: true });
agent.get(Systemd).ready();
// As a server that listens keeps it running: without a token the client waits for nothing but a login.
setInterval(() => undefined, 60_000);
console.log('ready');

process.on('SIGUSR2', () => {
  if (how === 'stop-client') {
    void agent.get(FedecksClient).stop();
    return;
  }
  const end = Date.now() + Number(blockedForMs);
  while (Date.now() < end);
});
