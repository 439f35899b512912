import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { isIP, type Socket } from 'node:net';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { plain } from '../printable.js';
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
 * TLS on a TCP connection. Nothing has been sent over it.
 * @throws {StepFailure} (rejects) with `tls`.
 */
export async function secure(
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
  report('tls', `${socket.getProtocol() ?? 'TLS'}, ${described(certificate)}`);
  return socket;
}

/** Whether something speaks TLS over a connection. */
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

/** Accepts any certificate: it is checked afterwards, to report what is wrong. */
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
    return new StepFailure('tls', 'the port speaks no TLS', [
      'Is it a port without TLS? Then the URL begins with ws:// (and all is sent in the clear).',
      'Behind a reverse proxy, use the port where that ends TLS, often 443.',
    ]);
  }
  if (/alert/.test(message)) {
    return new StepFailure('tls', `the server refuses the handshake (${plain(message)})`, [
      'Does it ask for a certificate of the device? Give --cert and --key (option tls.cert and tls.key).',
      'Does it know this host name, or a version of TLS that Node has?',
    ]);
  }
  return new StepFailure('tls', `the handshake came to no end (${plain(codeOf(error))})`, [
    'What listens there may speak something else, or a firewall cuts TLS: openssl s_client -connect HOST:PORT shows more.',
  ]);
}

function failureOfCertificate(code: string, certificate: PeerCertificate, host: string): StepFailure {
  const fail = (problem: string, ...advice: string[]): StepFailure =>
    new StepFailure('tls', `${problem} (${plain(code)}); ${described(certificate)}`, advice);
  switch (code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return fail(
        `the certificate is not for ${host}`,
        `It is for ${names(certificate)}: use such a name in the URL, or get a certificate for ${host}.`,
        'If it is known to be right, the option tls.servername names it.',
      );
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return fail(
        'the certificate is signed by nobody this machine trusts',
        'If it is your own: --ca FILE here, the option tls.ca for a device, with the certificate that has signed it.',
        'If it is not, something on the way (a proxy that inspects TLS) shows its own.',
      );
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return fail(
        'nothing leads from the certificate to a CA this machine trusts',
        'Does the server send its whole chain (fullchain.pem), and not its own certificate alone?',
        'If the CA is your own: --ca FILE here, the option tls.ca for a device.',
      );
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return fail(
        code === 'CERT_HAS_EXPIRED' ? 'the certificate has expired' : 'the certificate is not valid yet',
        `This machine's clock says ${new Date().toISOString()}: if that is right, the certificate has to be replaced.`,
      );
    default:
      return fail('the certificate is not trusted', 'openssl s_client -connect HOST:PORT shows more of it.');
  }
}

function described(certificate: PeerCertificate): string {
  // Of a server without any there is an empty object.
  const { valid_to: validTo = '' } = certificate as Partial<PeerCertificate>;
  const until = new Date(validTo);
  if (Number.isNaN(until.getTime())) return 'no certificate';
  const days = Math.floor((until.getTime() - Date.now()) / DAY_MS);
  const warning = days >= 0 && days < SOON_DAYS ? `: in ${days} days` : '';
  return `certificate for ${names(certificate)}, valid until ${until.toISOString().slice(0, 10)}${warning}`;
}

function names({ subject, subjectaltname }: Partial<PeerCertificate>): string {
  return plain(subjectaltname ?? String(subject?.CN ?? 'no name'));
}
