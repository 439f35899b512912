/** Error texts with the usual cause of a failure, for people who install devices. */

const NO_CA_TRUSTED =
  "this device does not trust the issuer of the server's certificate: for a private CA, set 'tls.ca' to the " +
  "certificate of the CA; for a self-signed certificate, set 'tls.ca' to that certificate";

const BY_TLS_CODE: Readonly<Record<string, string>> = {
  ERR_SSL_WRONG_VERSION_NUMBER:
    'the server does not speak TLS on this port: check the port, or start the URL with ws:// instead of wss://',
  DEPTH_ZERO_SELF_SIGNED_CERT: NO_CA_TRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: NO_CA_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: NO_CA_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NO_CA_TRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: `${NO_CA_TRUSTED}; or configure the server to send its intermediate certificates`,
};

/** OpenSSL's own message contains a source file and line. */
const NO_TLS = 'ERR_SSL_WRONG_VERSION_NUMBER';

/** An error of a TLS handshake, with what to change. */
export function explainTlsError(error: unknown): unknown {
  const { code = '', message } = error as NodeJS.ErrnoException;
  const advice = BY_TLS_CODE[code];
  if (advice === undefined) return error;
  return new Error(code === NO_TLS ? advice : `${message}: ${advice}`, { cause: error });
}

/** The first byte of an alert and of a handshake (RFC 8446 §5.1), which no HTTP answer begins with. */
const TLS_RECORDS = [0x15, 0x16];

/** What a server that speaks TLS does when it is spoken to without: it hangs up, or says so in TLS. */
export function adviseTls(
  { code, rawPacket }: NodeJS.ErrnoException & { readonly rawPacket?: Uint8Array },
  url: string,
): string | undefined {
  const answersInTls = rawPacket !== undefined && TLS_RECORDS.includes(rawPacket[0] ?? 0);
  if (!url.startsWith('ws:') || (code !== 'ECONNRESET' && !answersInTls)) return undefined;
  return 'if the server speaks TLS on this port, start the URL with wss:// instead of ws://';
}

const BY_STATUS: Readonly<Record<number, string>> = {
  400: 'if the server speaks TLS, start the URL with wss://; otherwise a proxy may have removed the websocket upgrade',
  404: "the server has no endpoint at this path: use the 'path' of FedecksModule followed by /websocket, for example /fedecks/websocket",
  407: 'the proxy requires a user name and a password',
  426: 'a proxy has removed the websocket upgrade: configure it to forward websockets',
  429: 'the server received too many requests from this address',
  502: 'the reverse proxy cannot reach the cloud: check that the cloud runs, on the port that the proxy uses',
  503: 'the cloud accepts no more devices for now, or is starting or shutting down',
  504: 'the reverse proxy gets no answer from the cloud: check that the cloud runs, on the port that the proxy uses',
};

/**
 * What an HTTP status in place of the websocket says.
 * @param hasBody of a 401 or 403: the cloud's have none (PROTOCOL.md §1.4).
 */
export function explainStatus(status: number, hasBody: boolean): string {
  const words = wordsFor(status, hasBody);
  return words === undefined ? `HTTP status ${status}` : `HTTP status ${status}: ${words}`;
}

function wordsFor(status: number, hasBody: boolean): string | undefined {
  if (status === 401 || (status === 403 && hasBody))
    return 'a proxy, firewall or captive portal rejected the request, not the cloud';
  if (status === 403)
    return 'the cloud rejected the credentials or the token: check that they belong to this device id; the log of the cloud gives the reason';
  if (status >= 200 && status < 300)
    return 'an ordinary page instead of a websocket: check the path of the URL (for example /fedecks/websocket), and whether a captive portal answers';
  if (status >= 300 && status < 400)
    return 'the client does not follow redirects: set the URL to the target, with wss:// instead of https://';
  return BY_STATUS[status];
}
