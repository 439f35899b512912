import { type CloudApi } from './cloud-api.js';

export interface Answer {
  readonly status: number;
  /** Of JSON, if it is that; otherwise text. */
  readonly body: unknown;
  readonly headers: Headers;
}

/** Who makes HTTP requests: like a browser at a page of the app, it keeps cookies and sends its origin. */
export class Visitor {
  /** As `name=value`, without attributes. */
  cookie: string | undefined;

  /** @param key an API key: then it is no browser, and sends no origin. */
  constructor(
    private readonly cloud: CloudApi,
    private readonly key?: string,
  ) {}

  async send(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const origin = `http://127.0.0.1:${this.cloud.port}`;
    const response = await fetch(`${origin}${path}`, {
      method,
      headers: {
        ...(this.key === undefined ? { origin } : { authorization: `Bearer ${this.key}` }),
        ...(this.cookie !== undefined && { cookie: this.cookie }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const [cookie] = response.headers.getSetCookie();
    if (cookie !== undefined) this.cookie = cookie.split(';')[0];
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
  }

  async status(...request: Parameters<Visitor['send']>): Promise<number> {
    return (await this.send(...request)).status;
  }

  /** Logs in; fails unless that works. */
  async logIn(name: string, password: string): Promise<this> {
    const { status, body } = await this.send('POST', '/api/v1/login', { name, password });
    if (status !== 200) throw new Error(`${name} cannot log in: ${status} ${JSON.stringify(body)}`);
    return this;
  }
}
