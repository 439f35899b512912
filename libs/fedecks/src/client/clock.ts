import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { type Socket } from 'node:net';
import { type TLSSocket } from 'node:tls';

/** Clocks that differ by less count as equal. */
const TOLERANCE_MS = 10 * 60_000;
/** A short timeout, so that the attempt does not time out and lose its error. */
const DATE_TIMEOUT_MS = 2_000;

/**
 * A device without a clock battery boots in 1970, when no certificate is valid, and the TLS error does not say
 * so. This adds, to an error about a certificate's dates, what the clock of this machine says, and what that of the
 * server is. The server is not authenticated: its date is only used in the error text.
 * @param connectUnverified opens a connection to the same server whose certificate is not checked.
 * @param signal aborts the request.
 */
export async function explainByClock(
  error: unknown,
  connectUnverified: () => Promise<TLSSocket>,
  signal: AbortSignal,
): Promise<unknown> {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'CERT_NOT_YET_VALID' && code !== 'CERT_HAS_EXPIRED') return error;
  const here = new Date();
  const asked = await fetchValidity(connectUnverified, signal).catch(() => undefined);
  const validity = asked && `it is valid from ${asked.validFrom} to ${asked.validTo}`;
  const said = [
    code === 'CERT_HAS_EXPIRED' ? 'certificate has expired' : 'certificate is not yet valid',
    ...(validity === undefined ? [] : [validity]),
    `this machine's clock says ${here.toISOString()}`,
    adviseOnClock(here, asked?.date),
  ];
  return new Error(said.join('; '), { cause: error });
}

function adviseOnClock(here: Date, there: Date | undefined): string {
  if (there === undefined) return 'if that is wrong, set the clock';
  const agree = Math.abs(here.getTime() - there.getTime()) < TOLERANCE_MS;
  return agree
    ? "the server's clock agrees: replace the certificate"
    : `the server's clock says ${there.toISOString()}: this machine's clock is probably wrong`;
}

async function fetchValidity(
  connectUnverified: () => Promise<TLSSocket>,
  signal: AbortSignal,
): Promise<{ validFrom: string; validTo: string; date: Date | undefined }> {
  const socket = await connectUnverified();
  try {
    const { valid_from: validFrom, valid_to: validTo } = socket.getPeerCertificate();
    return { validFrom, validTo, date: await dateOf(socket, signal).catch(() => undefined) };
  } finally {
    socket.destroy();
  }
}

/** The server's `Date` (RFC 9110 §6.6.1), requested without any data of this device. */
async function dateOf(socket: Socket, signal: AbortSignal): Promise<Date | undefined> {
  const asking = request({
    method: 'HEAD',
    path: '/',
    createConnection: () => socket,
    signal: AbortSignal.any([signal, AbortSignal.timeout(DATE_TIMEOUT_MS)]),
  });
  asking.on('error', () => undefined);
  asking.end();
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  response.resume();
  const date = new Date(response.headers.date ?? '');
  return Number.isNaN(date.getTime()) ? undefined : date;
}
