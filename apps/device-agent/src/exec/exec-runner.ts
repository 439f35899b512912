import { type ChildProcess, spawn } from 'node:child_process';
import { InternalServerErrorException, ServiceUnavailableException } from '@nestjs/common';
import { Observable } from 'rxjs';
import { type CommandLine } from './exec-commands.js';

/** How a command has ended. */
export interface ExecResult {
  /** Null if a signal ended it. */
  readonly exitStatus: number | null;
  readonly signal: string | null;
  /** The beginning of what it wrote. */
  readonly stdout: string;
  readonly stderr: string;
  /** Whether it wrote more than that. */
  readonly isTruncated: boolean;
  /** Whether it was killed because it took too long. */
  readonly isTimedOut: boolean;
}

const RUN_WITHIN_MS = 60_000;
const MAX_RUNNING = 4;
/** Of each of standard output and standard error. */
const MAX_OUTPUT_BYTES = 32 * 1024;
/** How long what it has started in the background may keep its output open after its end. */
const OUTPUT_ENDS_WITHIN_MS = 1_000;

/** Runs commands, within limits. */
export class ExecRunner {
  private running = 0;

  constructor(private readonly runWithinMs = RUN_WITHIN_MS) {}

  /** Runs it when subscribed to. Unsubscribing kills it, with all that it has started and not detached. */
  run({ name, program, args }: CommandLine): Observable<ExecResult> {
    return new Observable((subscriber) => {
      if (this.running >= MAX_RUNNING) {
        const text = `${MAX_RUNNING} commands run already: try again when one has ended`;
        return subscriber.error(new ServiceUnavailableException(text));
      }
      const child = spawn(program, args, {
        cwd: '/',
        // Not the agent's own environment, which may hold the password of a proxy.
        env: { PATH: process.env['PATH'] },
        // Leads a process group, which can be killed as a whole.
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      this.running++;
      const timers: NodeJS.Timeout[] = [];
      const stdout = new Output(child.stdout);
      const stderr = new Output(child.stderr);
      let isTimedOut = false;
      let isOver = false;
      const finish = (): void => {
        subscriber.next({
          exitStatus: child.exitCode,
          signal: child.signalCode,
          stdout: stdout.text,
          stderr: stderr.text,
          isTruncated: stdout.isTruncated || stderr.isTruncated,
          isTimedOut,
        });
        subscriber.complete();
      };
      timers.push(
        setTimeout(() => {
          isTimedOut = true;
          killGroup(child);
        }, this.runWithinMs),
      );
      child.once('error', (error: NodeJS.ErrnoException) => {
        const text = `the command "${name}" cannot be started (${error.code ?? error.message})`;
        subscriber.error(new InternalServerErrorException(text));
      });
      child.once('exit', () => timers.push(setTimeout(finish, OUTPUT_ENDS_WITHIN_MS)));
      child.once('close', () => {
        isOver = true;
        finish();
      });
      return () => {
        this.running--;
        for (const timer of timers) clearTimeout(timer);
        if (!isOver) killGroup(child);
        child.stdout.destroy();
        child.stderr.destroy();
      };
    });
  }
}

/** The beginning of a stream; reads the rest, so that the program does not wait for its reader. */
class Output {
  isTruncated = false;
  private readonly chunks: Buffer[] = [];
  private bytes = 0;

  constructor(stream: NodeJS.ReadableStream) {
    stream.on('data', (chunk: Buffer) => {
      const room = MAX_OUTPUT_BYTES - this.bytes;
      if (chunk.length > room) this.isTruncated = true;
      if (room === 0) return;
      // A copy: a part of a chunk would keep all of it.
      const part = Buffer.from(chunk.subarray(0, room));
      this.chunks.push(part);
      this.bytes += part.length;
    });
    stream.on('error', () => undefined);
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
