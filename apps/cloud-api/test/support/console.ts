import { existsSync } from 'node:fs';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
  type Request,
} from 'playwright-core';
import { Operators } from '../../src/access/operators.js';
import { sessionCookie } from '../../src/access/session-cookie.js';
import { Sessions } from '../../src/access/sessions.js';
import { type Role } from '../../src/database/tables.js';
import { builtConsole } from './built-console.js';
import { CloudApi, type TestConfig } from './cloud-api.js';

const PROGRAMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
/** Nobody logs in with it: sessions begin without. */
const NO_PASSWORD = 'no password';
/** What a page says while it waits for the cloud. */
const WAITING = /^(Loading…|Asking the cloud who you are…)$/;
/** So often in a row a page waits for nothing. */
const IDLE_ROUNDS = 3;
const DRAWN = `new Promise((resolve) =>
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve))))`;

/** The console of a cloud, in a browser: its pages, and what went wrong in them. */
export class Console {
  private readonly contexts: BrowserContext[] = [];
  private readonly requests = new WeakMap<Page, Set<Request>>();
  private problems: string[] = [];
  private names = 0;

  private constructor(
    private readonly browser: Browser,
    private readonly config: TestConfig,
    private app: CloudApi,
  ) {}

  /** @param log gets the lines of the app's log. */
  static async start(given: TestConfig = {}, log?: string[]): Promise<Console> {
    const [consoleDirectory, browser] = await Promise.all([builtConsole(), launch()]);
    const config = { ...given, consoleDirectory };
    return new Console(browser, config, await CloudApi.start(config, log));
  }

  get cloud(): CloudApi {
    return this.app;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.app.port}`;
  }

  /** Starts the app again on its port, after `cloud.close()`. What it knows is in the database of its configuration. */
  async startAgain(): Promise<void> {
    const { port } = this.app;
    this.app = await CloudApi.start({ ...this.config, port });
  }

  /** A page, in a browser that knows nothing yet. */
  async open(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await this.browser.newContext({ baseURL: this.origin, locale: 'en-GB', ...options });
    this.contexts.push(context);
    const page = await context.newPage();
    this.watch(page);
    return page;
  }

  /** A page of somebody who is logged in. @param name of a new operator. */
  async openAs(role: Role, name = `${role} ${++this.names}`, options?: BrowserContextOptions): Promise<Page> {
    await this.app.get(Operators).add(name, role, NO_PASSWORD);
    const operator = await this.app.get(Operators).secretOf(name);
    const { token } = await this.app.get(Sessions).begin(operator!.id, NO_PASSWORD);
    const page = await this.open(options);
    const [cookie = ''] = sessionCookie(token, false).split(';');
    const [cookieName = '', value = ''] = cookie.split('=');
    await page.context().addCookies([{ name: cookieName, value, url: this.origin }]);
    return page;
  }

  /** Resolves when the page has got what it asked for, and has drawn it. */
  async settle(page: Page): Promise<void> {
    const waiting = page.getByText(WAITING);
    for (let idle = 0; idle < IDLE_ROUNDS; idle++) {
      await this.draw(page);
      // What it has drawn may ask for more.
      if (this.requests.get(page)!.size > 0 || (await waiting.count()) > 0) idle = 0;
    }
  }

  /** Resolves when the page has drawn what is due, and the effects of that have run. */
  async draw(page: Page): Promise<void> {
    await page.evaluate(DRAWN);
  }

  /** Takes out the problems that a test expects, and returns them. */
  takeProblems(pattern: RegExp): readonly string[] {
    const expected = this.problems.filter((problem) => pattern.test(problem));
    this.problems = this.problems.filter((problem) => !pattern.test(problem));
    return expected;
  }

  /** Closes all pages, and returns as `reported` does. */
  async closePages(): Promise<readonly string[]> {
    const problems = await this.reported();
    await Promise.all(this.contexts.splice(0).map((context) => context.close()));
    // What was under way is aborted, of which the browser warns.
    this.problems = [];
    return problems;
  }

  /** The errors and warnings of the browser since the last time, and requests to others. */
  async reported(): Promise<readonly string[]> {
    // After what the pages have said before.
    const pages = this.contexts.flatMap((context) => context.pages());
    await Promise.all(pages.map((page) => page.evaluate('0')));
    return this.takeProblems(/^/);
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.app.close();
  }

  private watch(page: Page): void {
    const note = (problem: string): void => void this.problems.push(problem);
    page.on('console', (message) => {
      const type = message.type();
      if (type === 'error' || type === 'warning')
        note(`${type}: ${message.text()} (${message.location().url})`);
    });
    page.on('pageerror', ({ message }) => note(`uncaught: ${message}`));
    const running = new Set<Request>();
    this.requests.set(page, running);
    page.on('request', (request) => {
      running.add(request);
      if (!this.isOwn(request.url())) note(`request to another origin: ${request.url()}`);
    });
    page.on('requestfinished', (request) => running.delete(request));
    page.on('requestfailed', (request) => running.delete(request));
    page.on('websocket', (socket) => {
      if (!this.isOwn(socket.url())) note(`websocket to another origin: ${socket.url()}`);
    });
  }

  /** Whether it stays in this app, or in the page. */
  private isOwn(url: string): boolean {
    const { protocol, host } = new URL(url);
    return protocol === 'blob:' || protocol === 'data:' || host === `127.0.0.1:${this.app.port}`;
  }
}

async function launch(): Promise<Browser> {
  const executablePath = PROGRAMS.find((path) => existsSync(path));
  if (executablePath === undefined) {
    throw new Error(
      'Chromium is not installed: apt-get install chromium, or run npm test as root, which does it.',
    );
  }
  const args = [
    // It needs what containers and root do not have; this browser opens this app only.
    '--no-sandbox',
    // On a busy machine the browser drops the animation, and with it what a key scrolls.
    '--disable-smooth-scrolling',
  ];
  return chromium.launch({ executablePath, args });
}
