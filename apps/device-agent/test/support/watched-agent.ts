// The composed agent under a service manager. `SIGUSR2` makes it hang in the way of its argument, to test the watchdog.
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
// Keeps the process running, as the control server would: without a token the client has no timer.
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
