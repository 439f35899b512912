/** Error texts with the usual cause of a failure, for people who install devices. */

const NO_CA_TRUSTED =
  "no CA that this device trusts has issued the server's certificate: if it is one of your own, give the " +
  "certificate of its CA, or its own if it is self-signed, as 'tls.ca'";

const BY_TLS_CODE: Readonly<Record<string, string>> = {
  ERR_SSL_WRONG_VERSION_NUMBER:
    'the server speaks no TLS at this port: must the URL start with ws:// instead of wss://?',
  DEPTH_ZERO_SELF_SIGNED_CERT: NO_CA_TRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: NO_CA_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: NO_CA_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NO_CA_TRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: `${NO_CA_TRUSTED}; or the server does not send the certificates between`,
};

/** OpenSSL's own message contains a source file and line. */
const NO_TLS = 'ERR_SSL_WRONG_VERSION_NUMBER';

/** An error of a TLS handshake, with what to change. */
export function explainedTlsError(error: unknown): unknown {
  const { code = '', message } = error as NodeJS.ErrnoException;
  const advice = BY_TLS_CODE[code];
  if (advice === undefined) return error;
  return new Error(code === NO_TLS ? advice : `${message}: ${advice}`, { cause: error });
}

/** The first byte of an alert and of a handshake (RFC 8446 §5.1), which no HTTP answer begins with. */
const TLS_RECORDS = [0x15, 0x16];

/** What a server that speaks TLS does when it is spoken to without: it hangs up, or says so in TLS. */
export function advisesTls(
  { code, rawPacket }: NodeJS.ErrnoException & { readonly rawPacket?: Uint8Array },
  url: string,
): string | undefined {
  const answersInTls = rawPacket !== undefined && TLS_RECORDS.includes(rawPacket[0] ?? 0);
  if (!url.startsWith('ws:') || (code !== 'ECONNRESET' && !answersInTls)) return undefined;
  return 'if the server speaks TLS at this port, the URL must start with wss:// instead of ws://';
}

const BY_STATUS: Readonly<Record<number, string>> = {
  400: 'is there a server that speaks TLS, so that the URL must start with wss://, or a proxy that takes out the upgrade?',
  404: "there is no endpoint at this path: it is the 'path' of FedecksModule and /websocket, such as /fedecks/websocket",
  407: 'a proxy wants a user name and a password',
  426: 'something on the way has taken out the websocket upgrade',
  429: 'there were too many requests from here',
  502: 'the proxy before the cloud does not reach it: is the cloud running, at the port the proxy knows?',
  503: 'the cloud takes no more devices for now; or it starts, or shuts down',
  504: 'the proxy before the cloud gets no answer of it: is the cloud running, at the port the proxy knows?',
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
    return 'a proxy, firewall or captive portal on the way has refused, and not the cloud';
  if (status === 403)
    return 'the cloud refuses these credentials or this token: are they right, and those of this device id? Its log says why';
  if (status >= 200 && status < 300)
    return 'an ordinary page, and no endpoint: is the path of the URL right (such as /fedecks/websocket), or is there a captive portal?';
  if (status >= 300 && status < 400)
    return 'redirects are not followed: give the URL it leads to, with wss:// in place of https://';
  return BY_STATUS[status];
}
