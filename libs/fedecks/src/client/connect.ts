import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { isIP, type Socket } from 'node:net';
import { connect as connectTls, type PeerCertificate, type TLSSocket } from 'node:tls';
import { type AttemptClock } from './attempt-clock.js';
import { explainByClock } from './clock.js';
import { dial, type Dialling } from './dial.js';
import { explainTlsError } from './explain.js';
import { tunnel, withoutBrackets, type ProxyChoice } from './proxy.js';
import { isPinned, type TlsOptions } from './tls.js';

/** How a server is reached. */
export interface ConnectSettings {
  readonly url: string;
  readonly proxy: ProxyChoice;
  readonly tls: TlsOptions;
  /** The index of the first address to try; increases with each attempt. */
  readonly firstAddress: number;
}

/** A connection to a server. */
export interface Reached {
  /** The TCP or TLS socket. */
  readonly socket: Socket;
  /** The TCP connection below. Only it can be reset: of TLS, Node can do no more than close it. */
  readonly tcp: Socket;
}

/**
 * A connection to the server of a URL, by TCP for `ws` and TLS for `wss`, through a proxy if there is one. Nothing
 * has been written to it: nothing is sent before TLS verification succeeds. The host is resolved at each call
 * (by the operating system).
 * @param clock measures the phases.
 * @param signal ends the attempt.
 * @throws {Error} (rejects) when there will be none; sockets that were opened for it are gone by then.
 */
export async function connect(
  settings: ConnectSettings,
  clock: AttemptClock,
  signal: AbortSignal,
): Promise<Reached> {
  const { protocol, hostname, port } = new URL(settings.url);
  const secure = protocol === 'wss:';
  const target = {
    host: withoutBrackets(hostname),
    port: Number(port) || (secure ? 443 : 80),
  };
  const { firstAddress } = settings;
  const proxy = settings.proxy(settings.url);
  const open = (onPhase: Dialling['onPhase']): Promise<Socket> => {
    const dialling = { firstAddress, limitMs: clock.phaseLimitMs, onPhase };
    return proxy === undefined ? dial(target, dialling, signal) : tunnel(proxy, target, dialling, signal);
  };
  const tcp = await open((phase) => clock.begin(phase));
  if (!secure) return { socket: tcp, tcp };

  const { pins = [], servername, ...certificates } = settings.tls;
  const identity = {
    host: target.host,
    // SNI does not allow addresses (RFC 6066 §3), but certificates are checked against them.
    servername: servername ?? (isIP(target.host) ? '' : target.host),
    // A server that also speaks HTTP/2 must not choose it: an upgrade is a matter of HTTP/1.1 (PROTOCOL.md §3).
    ALPNProtocols: ['http/1.1'],
    ...(servername === undefined && isIP(target.host) === 6 && { checkServerIdentity: checkAddress }),
  };
  clock.begin('TLS');
  let socket: TLSSocket;
  try {
    socket = await ready(connectTls({ socket: tcp, ...certificates, ...identity }), signal);
  } catch (error) {
    // Only for the server's date: no secret is sent on this connection.
    const unverified = async (): Promise<TLSSocket> =>
      ready(
        connectTls({ socket: await open(() => undefined), ...identity, rejectUnauthorized: false }),
        signal,
      );
    throw explainTlsError(await explainByClock(error, unverified, signal));
  }
  if (pins.length === 0 || isPinned(socket, pins)) return { socket, tcp };
  socket.destroy();
  throw new Error("the server's certificate is valid, but 'tls.pins' does not contain its key");
}

/** Node 22 (22.23) finds no IPv6 address in any certificate. */
function checkAddress(address: string, { raw, subjectaltname }: PeerCertificate): Error | undefined {
  if (new X509Certificate(raw).checkIP(address) !== undefined) return undefined;
  return new Error(
    `the server's certificate is not valid for ${address}, only for ${subjectaltname ?? 'no address'}`,
  );
}

async function ready(socket: TLSSocket, signal: AbortSignal): Promise<TLSSocket> {
  // Prevents an uncaught error before the next owner adds its listener.
  socket.on('error', () => undefined);
  const abort = (): void => void socket.destroy(new Error('cancelled'));
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  try {
    await once(socket, 'secureConnect');
    return socket;
  } catch (error) {
    socket.destroy();
    if (!socket.closed) await once(socket, 'close');
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** A host with several addresses fails with an AggregateError, whose own message is empty. */
export function reasonOf(error: unknown): string {
  const { errors = [error] } = error as Partial<AggregateError>;
  return errors.map((each) => (each as Error).message || String(each)).join(', ');
}
