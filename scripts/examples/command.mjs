import { spawn } from 'node:child_process';

const PRINTS_WITHIN_MS = 60_000;
const ENDS_WITHIN_MS = 30_000;
/** How long processes of the group may outlive the first one. */
const LEAVES_WITHIN_MS = 2_000;

const running = new Set();
// Kills all children when this process exits for any reason.
process.on('exit', () => {
  for (const each of running) each.signal('SIGKILL');
});

/** A command in its own process group, as in a terminal. */
export class Command {
  #child;
  #command;
  #output = '';
  #onChange = new Set();
  /** Exit status, or name of the signal. */
  #status;

  /** @param env its complete environment. */
  constructor(cwd, command, env) {
    const [program, ...args] = command;
    this.#command = command.join(' ');
    this.#child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    running.add(this);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.on('data', (bytes) => {
        this.#output += bytes;
        this.#changed();
      });
    }
    this.#child.on('error', (error) => this.#end(error.message));
    this.#child.on('close', (status, signal) => this.#end(status ?? signal));
  }

  #end(status) {
    running.delete(this);
    this.#status = status;
    this.#changed();
  }

  #changed() {
    for (const each of [...this.#onChange]) each();
  }

  /** Resolves with the match when its output matches; rejects when it exits before. */
  async prints(pattern) {
    await this.#until(`prints ${pattern}`, PRINTS_WITHIN_MS, () => {
      return pattern.test(this.#output) || this.#status !== undefined;
    });
    const match = pattern.exec(this.#output);
    if (match === null) throw this.#failed(`ended with ${this.#status} and did not print ${pattern}`);
    return match;
  }

  /** Resolves with its exit status or signal when all processes of its group have exited. */
  async ends(withinMs = ENDS_WITHIN_MS) {
    await this.#until('ends', withinMs, () => this.#status !== undefined);
    const deadline = performance.now() + LEAVES_WITHIN_MS;
    while (this.signal(0)) {
      if (performance.now() > deadline) throw this.#failed('ended, and left a process behind');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return this.#status;
  }

  /** Resolves when it has exited with status 0. */
  async succeeds(withinMs) {
    const status = await this.ends(withinMs);
    if (status !== 0) throw this.#failed(`ended with ${status}`);
  }

  /** Resolves when it has exited with a status other than 0. */
  async fails() {
    if ((await this.ends()) === 0) throw this.#failed('ended with 0');
  }

  /** Signals all processes of the group, as Ctrl-C in a terminal does. */
  async interrupt() {
    this.signal('SIGINT');
    await this.ends();
  }

  /** Signals its process group. False if it no longer exists. */
  signal(signal) {
    try {
      return process.kill(-this.#child.pid, signal);
    } catch {
      return false;
    }
  }

  #until(what, withinMs, isDone) {
    if (isDone()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onChange = () => {
        if (isDone()) settle(resolve);
      };
      const timer = setTimeout(
        () => settle(() => reject(this.#failed(`not seen within ${withinMs / 1000} s: ${what}`))),
        withinMs,
      );
      const settle = (act) => {
        clearTimeout(timer);
        this.#onChange.delete(onChange);
        act();
      };
      this.#onChange.add(onChange);
    });
  }

  #failed(why) {
    return new Error(`\`${this.#command}\`: ${why}. It printed:\n${this.#output.slice(-6_000)}`);
  }
}
