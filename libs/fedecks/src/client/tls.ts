import { createHash, X509Certificate } from 'node:crypto';
import { type Socket } from 'node:net';
import { createSecureContext, type DetailedPeerCertificate, TLSSocket } from 'node:tls';

/** TLS options of a `wss` connection, in PEM. Defaults to Node's trust store. */
export interface TlsOptions {
  /** The trusted CA certificates, instead of Node's trust store. */
  readonly ca?: string | Buffer | (string | Buffer)[];
  /** The client certificate of the device. Requires `key`. */
  readonly cert?: string | Buffer;
  /** The private key of `cert`. */
  readonly key?: string | Buffer;
  /** The passphrase of `key`. */
  readonly passphrase?: string;
  /** The name the server's certificate must have, and that is sent as SNI. @default the host of the URL */
  readonly servername?: string;
  /**
   * Public keys of which the server must prove one, each as `sha256/` and the Base64 of the SHA-256 of its
   * SubjectPublicKeyInfo (as in RFC 7469 §2.4). It may be the key of the server's certificate or of one that this
   * was issued by. This comes on top of the check of the certificate: for one of your own, give `ca` too. Name a
   * second key, stored offline: a device whose only pinned key is lost can never connect again.
   *
   *     openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform der |
   *       openssl dgst -sha256 -binary | base64
   *
   * @default none: any trusted certificate will do
   */
  readonly pins?: readonly string[];
}

const KEYS: readonly string[] = [
  'ca',
  'cert',
  'key',
  'passphrase',
  'servername',
  'pins',
] satisfies (keyof TlsOptions)[];
const PIN = /^sha256\/[A-Za-z0-9+/]{43}=$/;

/** What is wrong with the option `tls`, a sentence each. */
export function problemsOfTls(value: unknown): string[] {
  if (typeof value !== 'object' || value === null)
    return [`'tls' must be an object with ${KEYS.join(', ')}.`];
  const problems = Object.keys(value)
    .filter((key) => !KEYS.includes(key))
    .map((key) => `Option 'tls.${key}' does not exist (have: ${KEYS.join(', ')}).`);
  const { ca, cert, key, passphrase, servername, pins } = value as TlsOptions;
  if ((cert === undefined) !== (key === undefined)) {
    problems.push("'tls.cert' and 'tls.key' go together: set both or neither.");
  } else if (cert !== undefined) {
    try {
      createSecureContext({ cert, key, passphrase });
    } catch {
      // OpenSSL's own message is not helpful.
      problems.push(
        "'tls.cert' must be a PEM certificate, 'tls.key' its private key, and 'tls.passphrase' the passphrase of that key.",
      );
    }
  }
  for (const pem of ca === undefined ? [] : [ca].flat()) {
    if (!isCertificate(pem)) problems.push("'tls.ca' must contain PEM certificates, not file paths.");
  }
  if (servername !== undefined && (typeof servername !== 'string' || servername === '')) {
    problems.push("'tls.servername' must be a host name.");
  }
  if (
    pins !== undefined &&
    (!Array.isArray(pins) || pins.length === 0 || !pins.every((pin) => PIN.test(String(pin))))
  ) {
    problems.push("'tls.pins' must be a non-empty array of 'sha256/' followed by 44 Base64 characters.");
  }
  return problems;
}

function isCertificate(pem: string | Buffer): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

/**
 * Whether the server holds one of the pinned keys, or a certificate that was issued with one. Of the certificates a
 * server shows, only its own is proven by the handshake; those above it count as far as signatures lead to them,
 * because anybody can send a certificate with a foreign key.
 */
export function isPinned(socket: TLSSocket, pins: readonly string[]): boolean {
  let shown = socket.getPeerCertificate(true);
  let proven: X509Certificate | undefined = new X509Certificate(shown.raw);
  while (proven) {
    if (pins.includes(pinOf(proven))) return true;
    // A root has issued itself; above the last certificate shown, if that is no root, there is none.
    const above = shown.issuerCertificate as DetailedPeerCertificate | undefined;
    if (above === undefined || above === shown) return false;
    const issuer: X509Certificate = new X509Certificate(above.raw);
    proven = proven.verify(issuer.publicKey) ? issuer : undefined;
    shown = above;
  }
  return false;
}

/**
 * The error text if the server requested a client certificate and none is set; otherwise undefined. With TLS 1.3 the
 * server rejects only
 * after the handshake, and what it says of it may be lost with the connection. It has told which signatures it takes
 * if it has asked, and only then.
 */
export function missingCertificate(socket: Socket, { cert }: TlsOptions): string | undefined {
  if (cert !== undefined || !(socket instanceof TLSSocket)) return undefined;
  // A closed socket returns nothing; Deno's sockets lack this method.
  const { getSharedSigalgs } = socket as { getSharedSigalgs?: () => string[] | null };
  const signatures = getSharedSigalgs?.call(socket);
  if (!signatures || signatures.length === 0) return undefined;
  return "the server requested a client certificate, and the device has none: set 'tls.cert' and 'tls.key'";
}

function pinOf(certificate: X509Certificate): string {
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return `sha256/${createHash('sha256').update(key).digest('base64')}`;
}
