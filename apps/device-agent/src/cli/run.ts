import { isatty } from 'node:tty';
import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from '../app.module.js';
import { Restart } from '../commands/restart.js';
import { readConfig } from '../config.js';
import { AlreadyRunningError } from '../control/control-socket.js';
import { AgentLogger } from '../log/agent-logger.js';
import { RecentLog } from '../log/recent-log.js';
import { Systemd } from '../service/systemd.js';
import { ThreadWork } from '../service/thread-work.js';
import { CommandError, EXIT } from './exit.js';

/** The restart timeout, as a hanging disk must not block the exit. */
const CLOSE_WITHIN_MS = 5_000;

/**
 * Runs the agent, and does not return: the process ends with the status of a signal's orderly stop, or of a restart.
 * @throws {ConfigError} (rejects) naming everything that is wrong.
 * @throws {CommandError} (rejects) if another agent runs.
 */
export async function run(configFile: string | undefined): Promise<never> {
  const config = await readConfig(configFile);
  // A closed log pipe must not end the agent.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const log = new RecentLog();
  Logger.overrideLogger(new AgentLogger(log));
  const app = await NestFactory.createApplicationContext(AppModule.with(config, log, isatty(0)), {
    abortOnError: false,
  }).catch((error: unknown) => {
    if (error instanceof AlreadyRunningError) throw new CommandError(EXIT.alreadyRunning, error.message);
    throw error;
  });
  process.on('exit', () => app.get(ThreadWork).killIfThreadsHang());
  // Closes the connection in order, and ends with status 0.
  app.enableShutdownHooks([], { useProcessExit: true });
  app.get(Systemd).ready();
  await app.get(Restart).requested;
  setTimeout(() => process.exit(EXIT.restart), CLOSE_WITHIN_MS);
  await app.close();
  process.exit(EXIT.restart);
}
