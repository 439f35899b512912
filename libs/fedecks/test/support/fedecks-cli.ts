/**
 * The program `fedecks`, with a temporary home directory.
 *
 *     const cli = await FedecksCli.compile();
 *     await cli.run(['decode', '836101']);             // { code, stdout, stderr }
 *     await cli.run(['decode'], { input: '836101' });  // on its standard input
 *     cli.start(['listen']);                           // a ChildApp
 *     cli.forget();                                    // a user who has never logged in
 *     cli.remove();
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChildApp, Program } from './child-app.js';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string | Buffer;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** Empty means unset, so that the test machine's proxy is not used. */
const NO_PROXY = Object.fromEntries(
  ['https_proxy', 'http_proxy', 'all_proxy', 'no_proxy'].flatMap((name) => [
    [name, ''],
    [name.toUpperCase(), ''],
  ]),
);

export class FedecksCli {
  /** The directory of its files. */
  readonly home = mkdtempSync(join(tmpdir(), 'fedecks-cli-'));

  private constructor(private readonly program: Program) {}

  static async compile(): Promise<FedecksCli> {
    return new FedecksCli(await Program.compile('cli-program.ts'));
  }

  /** A command line for a shell. */
  get command(): string {
    return `${process.execPath} ${this.program.file}`;
  }

  get env(): NodeJS.ProcessEnv {
    return { ...NO_PROXY, XDG_STATE_HOME: this.home };
  }

  /** Runs it until it exits. Its standard input is the given text, not a terminal. */
  run(args: readonly string[], { input = '', env = {}, cwd }: RunOptions = {}): Promise<Outcome> {
    const child = spawn(process.execPath, [this.program.file, ...args], {
      cwd,
      env: { ...process.env, ...this.env, ...env },
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('latin1').on('data', (text: string) => (stdout += text));
    child.stderr.on('data', (text) => (stderr += String(text)));
    // It may exit without reading.
    child.stdin.on('error', () => undefined).end(input);
    return new Promise((resolve) =>
      child.once('close', (code) => resolve({ code, stdout: utf8(stdout), stderr })),
    );
  }

  start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildApp {
    return this.program.start(args, { env: { ...this.env, ...env } });
  }

  forget(): void {
    rmSync(join(this.home, 'fedecks'), { recursive: true, force: true });
  }

  /** Deletes its files. */
  remove(): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}

function utf8(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString();
}
