import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { isIP, type Socket } from 'node:net';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { sanitize } from '../printable.js';
import { codeOf, type Patience, type Report, StepFailure, within } from './steps.js';

/** The client certificate and the trusted CAs. */
export interface TlsFiles {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const SOON_DAYS = 14;

/**
 * Starts TLS on a TCP connection. Sends no application data.
 * @throws {StepFailure} (rejects) with `tls`.
 */
export async function startTls(
  tcp: Socket,
  host: string,
  files: TlsFiles,
  patience: Patience,
  report: Report,
): Promise<TLSSocket> {
  let socket: TLSSocket;
  try {
    socket = await within(patience, (signal) => handshake(tcp, host, files, signal));
  } catch (error) {
    tcp.destroy();
    if (patience.signal.aborted) throw error;
    throw failureOfHandshake(error);
  }
  const certificate = socket.getPeerCertificate();
  // OpenSSL's code for it; the published types call it an error.
  const problem = socket.authorizationError as unknown as string | { readonly code?: string } | null;
  if (!socket.authorized && problem) {
    socket.destroy();
    throw failureOfCertificate(typeof problem === 'string' ? problem : codeOf(problem), certificate, host);
  }
  report('tls', `${socket.getProtocol() ?? 'TLS'}, ${describeCertificate(certificate)}`);
  return socket;
}

/** Whether the peer of a connection speaks TLS. */
export async function speaksTls(tcp: Socket, host: string, patience: Patience): Promise<boolean> {
  try {
    const socket = await within(patience, (signal) => handshake(tcp, host, {}, signal));
    socket.destroy();
    return true;
  } catch {
    tcp.destroy();
    return false;
  }
}

/** Accepts any certificate: the caller checks it, to report what is wrong. */
async function handshake(
  tcp: Socket,
  host: string,
  files: TlsFiles,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const socket = connect({
    socket: tcp,
    ...files,
    host,
    servername: isIP(host) === 0 ? host : '',
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: false,
    // Node 22 (22.23) finds no IPv6 address in any certificate.
    ...(isIP(host) === 6 && { checkServerIdentity: checkAddress }),
  });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect', { signal });
  return socket;
}

function checkAddress(address: string, { raw }: PeerCertificate): Error | undefined {
  if (new X509Certificate(raw).checkIP(address) !== undefined) return undefined;
  return Object.assign(new Error('the certificate is for other addresses'), {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
  });
}

function failureOfHandshake(error: unknown): StepFailure {
  const { message } = error as Error;
  if (/wrong version number|packet length too long|http request|unknown protocol|bad record/i.test(message)) {
    return new StepFailure('tls', 'the port does not speak TLS', [
      'For a port without TLS, start the URL with ws:// (nothing is encrypted then).',
      'Behind a reverse proxy, use the port where the proxy terminates TLS, often 443.',
    ]);
  }
  if (/alert/.test(message)) {
    return new StepFailure('tls', `the server rejects the handshake (${sanitize(message)})`, [
      'If it requires a client certificate, use --cert and --key (in a device: tls.cert and tls.key).',
      'Otherwise check that it knows this host name, and supports a TLS version of Node.',
    ]);
  }
  return new StepFailure('tls', `the handshake did not complete (${sanitize(codeOf(error))})`, [
    'The server may speak another protocol, or a firewall blocks TLS: openssl s_client -connect HOST:PORT shows more.',
  ]);
}

function failureOfCertificate(code: string, certificate: PeerCertificate, host: string): StepFailure {
  const fail = (problem: string, ...advice: string[]): StepFailure =>
    new StepFailure('tls', `${problem} (${sanitize(code)}); ${describeCertificate(certificate)}`, advice);
  switch (code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return fail(
        `the certificate is not valid for ${host}`,
        `It is valid for ${namesIn(certificate)}: use one of these names in the URL, or get a certificate for ${host}.`,
        'If the certificate is right, set tls.servername of the device to its name.',
      );
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return fail(
        'this machine does not trust the issuer of the certificate',
        'For a private CA or a self-signed certificate, use --ca FILE (in a device: tls.ca) with that certificate.',
        'Otherwise a proxy that inspects TLS may have replaced the certificate.',
      );
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return fail(
        'no chain leads from the certificate to a CA that this machine trusts',
        'Configure the server to send its whole chain (fullchain.pem), not only its own certificate.',
        'For a private CA, use --ca FILE (in a device: tls.ca).',
      );
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return fail(
        code === 'CERT_HAS_EXPIRED' ? 'the certificate has expired' : 'the certificate is not valid yet',
        `This machine's clock says ${new Date().toISOString()}: if that is right, replace the certificate.`,
      );
    default:
      return fail('the certificate is not trusted', 'openssl s_client -connect HOST:PORT shows more.');
  }
}

function describeCertificate(certificate: PeerCertificate): string {
  // An empty object if the server has no certificate.
  const { valid_to: validTo = '' } = certificate as Partial<PeerCertificate>;
  const until = new Date(validTo);
  if (Number.isNaN(until.getTime())) return 'no certificate';
  const days = Math.floor((until.getTime() - Date.now()) / DAY_MS);
  const warning = days >= 0 && days < SOON_DAYS ? `: in ${days} days` : '';
  return `certificate for ${namesIn(certificate)}, valid until ${until.toISOString().slice(0, 10)}${warning}`;
}

function namesIn({ subject, subjectaltname }: Partial<PeerCertificate>): string {
  return sanitize(subjectaltname ?? String(subject?.CN ?? 'no name'));
}
