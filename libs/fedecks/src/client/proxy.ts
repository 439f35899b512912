import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { type Socket } from 'node:net';
import { dial, type Dialling, type Target } from './dial.js';

/** Which HTTP proxy a connection to a URL goes through: the proxy's URL, or undefined for none. */
export type ProxyChoice = (url: string) => string | undefined;

/**
 * The proxy that the usual environment variables name, for the option `proxy`:
 *
 *     new FedecksClient({ ..., proxy: proxyFromEnvironment(process.env) })
 *
 * `https_proxy` is for wss, `http_proxy` for ws, `all_proxy` for both where there is no other. `no_proxy` is a list,
 * divided by commas or spaces, of hosts that are reached directly: `example.com` and `.example.com` stand for that
 * host and all below it, `example.com:8443` for one port of it, `*` for every host; ranges of addresses (CIDR) are
 * not understood. Each name is looked up in lower case first, then in upper case. What is empty counts as unset.
 *
 * @param env is read at every attempt, so that a later change counts.
 */
export function proxyFromEnvironment(env: Readonly<Record<string, string | undefined>>): ProxyChoice {
  const variable = (name: string): string | undefined => env[name] || env[name.toUpperCase()] || undefined;
  return (url) => {
    const { protocol, hostname, port } = new URL(url);
    const secure = protocol === 'wss:';
    const proxy = variable(secure ? 'https_proxy' : 'http_proxy') ?? variable('all_proxy');
    if (proxy === undefined) return undefined;
    const direct = variable('no_proxy')?.split(/[\s,]+/) ?? [];
    if (direct.some((pattern) => matches(pattern.toLowerCase(), hostname, port || (secure ? '443' : '80')))) {
      return undefined;
    }
    return proxy.includes('://') ? proxy : `http://${proxy}`;
  };
}

function matches(pattern: string, hostname: string, port: string): boolean {
  if (pattern === '*') return true;
  // An IPv6 address is in brackets where a port follows it, and may be in brackets where none does.
  const [, host = '', onlyPort] = /^(\[.*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(pattern) ?? [];
  const name = withoutBrackets(host).replace(/^\*?\./, '');
  if (name === '' || (onlyPort !== undefined && onlyPort !== port)) return false;
  const asked = withoutBrackets(hostname);
  return asked === name || asked.endsWith(`.${name}`);
}

/** The sentence that says what is wrong with the URL of a proxy, without the secrets it may hold; or undefined. */
export function problemOfProxy(proxy: unknown): string | undefined {
  const usable = typeof proxy === 'string' && URL.canParse(proxy) && new URL(proxy).protocol === 'http:';
  return usable
    ? undefined
    : "'proxy' must be the URL of an HTTP proxy, for example 'http://user:password@proxy.example.com:3128', or a function that returns one.";
}

/**
 * A tunnel to the host of a URL through an HTTP proxy (CONNECT, RFC 9110 §9.3.6).
 * @throws {Error} (rejects) if the proxy cannot be reached or does not want to; without the proxy's password.
 */
export async function tunnel(
  proxy: string,
  target: Target,
  dialling: Dialling,
  signal: AbortSignal,
): Promise<Socket> {
  const problem = problemOfProxy(proxy);
  if (problem !== undefined) throw new Error(problem);
  const { hostname, port, username, password } = new URL(proxy);
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  const authority = `${host}:${target.port}`;
  const headers: Record<string, string> = { host: authority };
  if (username !== '' || password !== '') {
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    headers['proxy-authorization'] = `Basic ${Buffer.from(credentials).toString('base64')}`;
  }
  const socket = await dial({ host: withoutBrackets(hostname), port: Number(port) || 80 }, dialling, signal);
  dialling.onPhase('proxy');
  const asking = request({
    method: 'CONNECT',
    path: authority,
    headers,
    signal,
    createConnection: () => socket,
  });
  // Ignores later errors, which must not crash the process.
  asking.on('error', () => undefined);
  asking.end();
  try {
    const [response] = (await once(asking, 'connect')) as [IncomingMessage];
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return socket;
    throw new Error(`the proxy answered CONNECT with HTTP status ${status}`);
  } catch (error) {
    asking.destroy();
    socket.destroy();
    if (!socket.closed) await once(socket, 'close');
    throw error;
  }
}

/** The host of a URL as an address to connect to: IPv6 without its brackets. */
export function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}
