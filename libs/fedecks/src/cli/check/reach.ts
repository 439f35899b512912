import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect, isIP, type Socket } from 'node:net';
import {
  codeOf,
  type Patience,
  type Report,
  StepFailure,
  type StepName,
  TimeoutError,
  within,
} from './steps.js';

/** Where something listens. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/** The host and port of a URL, IPv6 without its brackets. */
export function placeOf(url: URL, defaultPort: number): Place {
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(url.port) || defaultPort };
}

/**
 * A TCP connection to a place, by its first address that works.
 * @param asStep reports DNS and TCP as this step: `proxy` for a proxy.
 * @throws {StepFailure} (rejects) with `dns` or `tcp`, or as `asStep` says.
 */
export async function reach(
  place: Place,
  patience: Patience,
  report: Report,
  asStep?: StepName,
): Promise<Socket> {
  const addresses = await addressesOf(place, patience, report, asStep ?? 'dns');
  const failures: string[] = [];
  for (const address of addresses) {
    try {
      const socket = await within(patience, (signal) => dial({ ...place, host: address }, signal));
      const before = failures.length === 0 ? '' : `; before it: ${failures.join(', ')}`;
      report(asStep ?? 'tcp', `connected to ${withPort(address, place.port)}${before}`);
      return socket;
    } catch (error) {
      if (patience.signal.aborted) throw error;
      failures.push(
        `${withPort(address, place.port)} ${error instanceof TimeoutError ? error.message : codeOf(error)}`,
      );
    }
  }
  const all = failures.join(', ');
  throw new StepFailure(
    asStep ?? 'tcp',
    `no connection: ${all}`,
    adviceOfTcp(all, place, asStep === 'proxy'),
  );
}

async function addressesOf(
  { host }: Place,
  patience: Patience,
  report: Report,
  step: StepName,
): Promise<readonly string[]> {
  if (isIP(host) !== 0) {
    report(step, `${host} is an address: no lookup needed`);
    return [host];
  }
  try {
    const found = await within(patience, () => lookup(host, { all: true }));
    const addresses = found.map(({ address }) => address);
    report(step, `${host} is ${addresses.join(', ')}`);
    return addresses;
  } catch (error) {
    if (patience.signal.aborted) throw error;
    const code = codeOf(error);
    const isUnknown = code === 'ENOTFOUND' || code === 'ENODATA';
    throw new StepFailure(
      step,
      isUnknown
        ? `the name ${host} does not exist (${code})`
        : `the name server does not answer for ${host} (${code})`,
      isUnknown
        ? [
            `Check the spelling of '${host}'.`,
            'A name of a private network may need a VPN, or another name server.',
          ]
        : ['Check that this machine is online, and that its name server (resolv.conf) answers.'],
    );
  }
}

async function dial(place: Place, signal: AbortSignal): Promise<Socket> {
  const socket = connect(place);
  // An error may come before the next user of the socket listens.
  socket.on('error', () => undefined);
  try {
    await once(socket, 'connect', { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function adviceOfTcp(failures: string, { host, port }: Place, isProxy: boolean): string[] {
  const what = isProxy ? 'the proxy' : 'the cloud';
  if (failures.includes('ECONNREFUSED')) {
    return [
      `Nothing listens on port ${port} there: check that ${what} is running, and that the port is right.`,
      `An app on 127.0.0.1 is reachable only from its own machine: use app.listen(${port}, '0.0.0.0').`,
      'In a container, publish the port.',
    ];
  }
  if (/ENETUNREACH|EHOSTUNREACH|ENETDOWN|EADDRNOTAVAIL/.test(failures)) {
    return [`This machine has no route to ${host}: check that it is online, and whether it needs a VPN.`];
  }
  return [
    `Nothing answers on port ${port}: a firewall drops the packets, or ${host} is down.`,
    ...(isProxy ? [] : ['If this network needs a proxy, set https_proxy (for ws:// URLs: http_proxy).']),
  ];
}

/**
 * A connection to a place through an HTTP proxy.
 * @throws {StepFailure} (rejects) with `proxy`; it does not hold the proxy's password.
 */
export async function reachThrough(
  proxy: string,
  place: Place,
  patience: Patience,
  report: Report,
): Promise<Socket> {
  const proxyUrl = URL.canParse(proxy) ? new URL(proxy) : undefined;
  if (proxyUrl?.protocol !== 'http:') {
    throw new StepFailure('proxy', 'the proxy of the environment is not an http:// URL', [
      'Set https_proxy to http://HOST:PORT; to use no proxy, add this host to no_proxy.',
    ]);
  }
  const { username, password } = proxyUrl;
  const hasPassword = username !== '' || password !== '';
  const authority = withPort(place.host, place.port);
  report('proxy', `${proxyUrl.host}, from the environment${hasPassword ? ', with a user name' : ''}`);
  const socket = await reach(placeOf(proxyUrl, 80), patience, report, 'proxy');
  const basic = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString(
    'base64',
  );
  try {
    const status = await within(patience, async (signal) => {
      const connectRequest = request({
        method: 'CONNECT',
        path: authority,
        headers: { host: authority, ...(hasPassword && { 'proxy-authorization': `Basic ${basic}` }) },
        signal,
        createConnection: () => socket,
      });
      connectRequest.on('error', () => undefined);
      connectRequest.end();
      const [response] = (await once(connectRequest, 'connect', { signal })) as [IncomingMessage];
      return response.statusCode ?? 0;
    });
    if (status < 200 || status >= 300) throw new ProxyRefusal(status);
    report('proxy', `it connects to ${authority}`);
    return socket;
  } catch (error) {
    socket.destroy();
    if (patience.signal.aborted) throw error;
    if (error instanceof ProxyRefusal)
      throw new StepFailure('proxy', error.message, adviceOfProxy(error.status, authority));
    throw new StepFailure('proxy', `it does not answer CONNECT (${codeOf(error)})`, [
      `Check that ${proxyUrl.host} is an HTTP proxy. To use no proxy, add this host to no_proxy.`,
    ]);
  }
}

class ProxyRefusal extends Error {
  constructor(readonly status: number) {
    super(`it answers CONNECT with HTTP status ${status}`);
  }
}

function adviceOfProxy(status: number, authority: string): string[] {
  if (status === 407) return ['The proxy requires a login: https_proxy=http://USER:PASSWORD@HOST:PORT'];
  if (status >= 500)
    return [
      `The proxy cannot reach ${authority}: check that it can resolve the name, and that the cloud is running.`,
    ];
  return [
    `The proxy does not allow ${authority}: have it allowed, or add the host to no_proxy to use no proxy.`,
  ];
}

function withPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
