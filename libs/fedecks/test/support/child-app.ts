/**
 * Runs a TypeScript file of the tests as a separate process, with the library compiled as the tests compile it.
 *
 *     const program = await Program.compile('draining-app.ts');
 *     const app = program.start(['1000']);
 *     await app.line();              // the next line of its standard output
 *     app.kill('SIGTERM');
 *     await app.exited(5_000);       // { code, signal, at }
 *     app.dispose();
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { bundleOf } from './bundle.js';
import { freeze } from './freeze.js';
import { Inbox } from './inbox.js';

/** How a process ended, and when (`performance.now()`). */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly at: number;
}

export interface StartOptions {
  readonly options?: readonly string[];
  readonly by?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

export class Program {
  private constructor(readonly file: string) {}

  /** @param file a file in this folder. */
  static async compile(file: string): Promise<Program> {
    return new Program(await bundleOf(fileURLToPath(new URL(file, import.meta.url))));
  }

  /**
   * @param options for node itself.
   * @param by a command that wraps it: `['prlimit', '--fsize=0']`.
   * @param env added to the test's environment.
   */
  start(args: readonly string[] = [], { options = [], by = [], env = {} }: StartOptions = {}): ChildApp {
    const [command = '', ...rest] = [...by, process.execPath, ...options, this.file, ...args];
    return new ChildApp(spawn(command, rest, { stdio: 'pipe', env: { ...process.env, ...env } }));
  }
}

export class ChildApp {
  private readonly lines = new Inbox<string>('line of the child process');
  private heard = (line: string): void => this.lines.put(line);
  private readonly exits = new Inbox<Exit>('end of the child process');
  /** Its standard error: a warning or a failure, which no test expects. */
  stderr = '';

  constructor(private readonly process: ChildProcessWithoutNullStreams) {
    createInterface({ input: process.stdout }).on('line', (line) => this.heard(line));
    // It may have exited already.
    process.stdin.on('error', () => undefined);
    process.stderr.on('data', (data) => (this.stderr += String(data)));
    process.on('exit', (code, signal) => this.exits.put({ code, signal, at: performance.now() }));
  }

  /** Calls `listener` with every further line, instead of {@link line}. */
  onLine(heard: (line: string) => void): void {
    this.heard = heard;
  }

  /** Writes a line to its standard input. */
  say(line: string): void {
    this.process.stdin.write(`${line}\n`);
  }

  /** The next line it writes; rejects after `deadlineMs` milliseconds. */
  async line(deadlineMs = 30_000): Promise<string> {
    return this.lines.next(deadlineMs);
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** Freezes it until SIGCONT; resolves when it has stopped. */
  async freeze(): Promise<void> {
    await freeze(this.process);
  }

  /** Resolves when it has exited; rejects after `deadlineMs` milliseconds. */
  async exited(deadlineMs: number): Promise<Exit> {
    return this.exits.next(deadlineMs);
  }

  /** Ends its standard input. */
  endInput(): void {
    this.process.stdin.end();
  }

  /** Kills it if it still runs. */
  dispose(): void {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill('SIGKILL');
  }
}
