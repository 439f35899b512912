import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { bundleOf } from '../../../../libs/fedecks/test/support/bundle.js';

/** The exit status and output of a command. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const DEADLINE_MS = 30_000;

/** `device-agent` as a program, compiled as the tests compile it. */
export class AgentProgram {
  private readonly running = new Set<ChildProcess>();
  /** The output of all processes, to search for secrets. */
  output = '';

  private constructor(readonly file: string) {}

  static async compile(): Promise<AgentProgram> {
    return new AgentProgram(await bundleOf(fileURLToPath(new URL('../../src/main.ts', import.meta.url))));
  }

  start(command: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
    const { PATH } = process.env;
    const child = spawn(command, args, { env: { PATH, ...env }, stdio: 'pipe' });
    this.running.add(child);
    child.once('close', () => this.running.delete(child));
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text: Buffer) => (this.output += text.toString()));
    }
    return child;
  }

  /** Runs a command until it exits. @param input its standard input. */
  async command(args: readonly string[], env: NodeJS.ProcessEnv, input = ''): Promise<Ended> {
    return this.ended(this.start(process.execPath, [this.file, ...args], env), input);
  }

  /** Runs a shell line, in which `device-agent` is this program. */
  async shell(line: string, env: NodeJS.ProcessEnv, cwd: string): Promise<Ended> {
    const script = `cd "${cwd}" && device_agent() { "${process.execPath}" "${this.file}" "$@"; }\n`;
    const text = script + line.replaceAll(/\bdevice-agent /g, 'device_agent ');
    return this.ended(this.start('sh', ['-c', text], env), '');
  }

  /** `device-agent run`. */
  run(env: NodeJS.ProcessEnv, ...args: string[]): RunningAgent {
    return this.runIn([], env, ...args);
  }

  /** Runs `device-agent run` through another command. */
  runIn(starter: readonly string[], env: NodeJS.ProcessEnv, ...args: string[]): RunningAgent {
    const [command, ...rest] = [...starter, process.execPath, this.file, 'run', ...args];
    return new RunningAgent(this.start(command!, rest, env));
  }

  async stopAll(): Promise<void> {
    const children = [...this.running];
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(children.map((child) => once(child, 'close')));
  }

  private async ended(child: ChildProcess, input: string): Promise<Ended> {
    let stdout = '';
    let stderr = '';
    child.stdout!.on('data', (text: Buffer) => (stdout += text.toString()));
    child.stderr!.on('data', (text: Buffer) => (stderr += text.toString()));
    child.stdin!.on('error', () => undefined);
    child.stdin!.end(input);
    const [code] = (await once(child, 'close', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [
      number | null,
    ];
    return { code, stdout, stderr };
  }
}

/** An agent in the foreground, with its log and its exit. */
export class RunningAgent {
  private readonly lines: string[] = [];
  private readonly end: Promise<number | null>;
  private told = (): void => undefined;
  private seen = 0;

  constructor(private readonly child: ChildProcess) {
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        this.told();
      });
    }
    this.end = once(child, 'close').then(([code]) => code as number | null);
  }

  /** Resolves at the next line that contains this text; rejects after 30 s. */
  async logged(text: string): Promise<string> {
    for (const deadline = Date.now() + DEADLINE_MS; ;) {
      while (this.seen < this.lines.length) {
        const line = this.lines[this.seen++]!;
        if (line.includes(text)) return line;
      }
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) throw new Error(`no line with ${text} in:\n${this.lines.join('\n')}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.told = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Resolves with the exit status; null after a signal. */
  async ended(): Promise<number | null> {
    return this.end;
  }
}
