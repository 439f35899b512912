import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { say } from './log.mjs';
import { Sightings } from './sightings.mjs';

/** The format of a Nest log line: `[app] pid  - date     LEVEL [Context] text`. */
const NEST_LINE = /^\[[\w-]+\] \d+ +- .+? +(LOG|WARN|ERROR|FATAL) (?:\[([^\]]+)\] )?(.*)$/;
/** The contexts of Nest's own lines at start-up. */
const NEST_CONTEXTS = /^(Nest|Instance|Router|Routes|WebSockets)/;
const STOP_WITHIN_MS = 5_000;
/** The first start of an embedded database takes some seconds, and more on a busy machine. */
const LINE_WITHIN_MS = 60_000;

const running = new Set();
// Kills all children when this process exits for any reason.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** An app of this repository as a separate process, with its log printed under a name. */
export class AppProcess {
  lines = new Sightings();
  #child;

  /** @param env its environment, apart from the variables that Node needs. */
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

  /** Resolves with a matching log line; rejects if the app exits before. */
  async line(pattern) {
    const isIt = (each) => pattern.test(each) || each.startsWith('exited: ');
    const line = await this.lines.until(`the log line ${pattern}`, isIt, LINE_WITHIN_MS);
    const match = pattern.exec(line);
    if (match === null) throw new Error(`a process ended (${line}) before it logged ${pattern}`);
    return match;
  }

  /** Kills it, so that it cannot close its connection. */
  async kill() {
    await this.#end('SIGKILL');
  }

  /** Stops it as a service manager does, and kills it after a timeout. */
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
