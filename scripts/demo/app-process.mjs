import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { say } from './log.mjs';
import { Sightings } from './sightings.mjs';

/** How a Nest app writes a line: `[app] pid  - date     LEVEL [Context] text`. */
const NEST_LINE = /^\[[\w-]+\] \d+ +- .+? +(LOG|WARN|ERROR|FATAL) (?:\[([^\]]+)\] )?(.*)$/;
/** What Nest says about itself while it starts. */
const NEST_CONTEXTS = /^(Nest|Instance|Router|Routes|WebSockets)/;
const STOP_WITHIN_MS = 5_000;

const running = new Set();
// Whatever ends this process, what it started ends with it.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** An app of this repository in a process of its own, its log shown under a name. */
export class AppProcess {
  lines = new Sightings();
  #child;

  /** @param env all of its environment, but for what Node itself needs. */
  constructor(name, [entry, ...args], env) {
    const { PATH, SystemRoot } = process.env;
    this.#child = spawn(process.execPath, [entry, ...args], {
      env: { PATH, ...(SystemRoot && { SystemRoot }), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(this.#child);
    this.#child.on('exit', (code, signal) => {
      running.delete(this.#child);
      this.lines.add(`exited: ${signal ?? code}`);
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => this.#told(name, line));
    }
  }

  #told(name, line) {
    const [, level = 'LOG', context = '', text = line] = NEST_LINE.exec(line) ?? [];
    if (level === 'LOG' && NEST_CONTEXTS.test(context)) return;
    say(name, level === 'LOG' ? text : `${level} ${text}`);
    this.lines.add(text);
  }

  /** A line of its log that matches; rejects if the app ends instead. */
  async line(pattern) {
    const line = await this.lines.until(`the log line ${pattern}`, (each) => {
      return pattern.test(each) || each.startsWith('exited: ');
    });
    const match = pattern.exec(line);
    if (match === null) throw new Error(`a process ended (${line}) before it logged ${pattern}`);
    return match;
  }

  /** As if the power had gone: it cannot say goodbye. */
  async kill() {
    await this.#end('SIGKILL');
  }

  /** As a service manager does it; what has not ended in time is killed. */
  async stop() {
    const late = setTimeout(() => this.#child.kill('SIGKILL'), STOP_WITHIN_MS);
    await this.#end('SIGTERM');
    clearTimeout(late);
  }

  async #end(signal) {
    if (!running.has(this.#child)) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill(signal);
    await ended;
  }
}
