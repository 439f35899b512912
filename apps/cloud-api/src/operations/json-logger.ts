import { type LoggerService } from '@nestjs/common';
import { pino, stdTimeFunctions } from 'pino';
import { LogFields } from './log-fields.js';

type Level = 'fatal' | 'error' | 'warn' | 'info';

/** How lines of the library begin that are about a device. */
const ABOUT_DEVICE = /^device ("(?:[^"\\]|\\.)*")(?:, connection (\d+))?: /;

/**
 * Writes each log line of the app as a line of JSON: `level`, `time`, `context`, `msg`, and where they are known
 * `deviceId`, `connection` and `stack`.
 */
export class JsonLogger implements LoggerService {
  private readonly pino;

  /** Standard output is not written to by file descriptor, so that a closed pipe is an event and no exception. */
  constructor(output: { write(line: string): unknown } = process.stdout) {
    const options = {
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (level: string) => ({ level }) },
    };
    this.pino = pino(options, { write: (line) => void output.write(line) });
  }

  log(message: unknown, ...more: unknown[]): void {
    this.write('info', message, more);
  }

  warn(message: unknown, ...more: unknown[]): void {
    this.write('warn', message, more);
  }

  error(message: unknown, ...more: unknown[]): void {
    this.write('error', message, more);
  }

  fatal(message: unknown, ...more: unknown[]): void {
    this.write('fatal', message, more);
  }

  /** @param more Nest gives stacks and fields first, and last the context. */
  private write(level: Level, message: unknown, more: readonly unknown[]): void {
    const texts = more.filter((each) => typeof each === 'string');
    const context = texts.at(-1);
    const stack = message instanceof Error ? message.stack : texts.slice(0, -1).find(isStack);
    const text = message instanceof Error ? message.message : String(message);
    const fields = more.find((each) => each instanceof LogFields);
    this.pino[level]({ context, ...(fields ?? fieldsIn(text)), stack }, text);
  }
}

function isStack(text: string): boolean {
  return /\n\s+at /.test(text);
}

function fieldsIn(text: string): object {
  const [, id, connection] = ABOUT_DEVICE.exec(text) ?? [];
  if (id === undefined) return {};
  try {
    return new LogFields(JSON.parse(id) as string, connection === undefined ? undefined : Number(connection));
  } catch {
    // The library has escaped what is no text. It stays in the line.
    return {};
  }
}
