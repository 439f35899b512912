/**
 * The close codes this library sends (PROTOCOL.md §5), and what each says to a person at the device. What a device does
 * about one follows from its number: {@link closeCodeAdvice}.
 */
const CODES = {
  /** The end of a connection in order: `stop()`, an idle timeout, `Fedecks.disconnect`, a device that stops. */
  normal: { code: 1000, words: 'the cloud has ended it, on purpose or after hearing nothing for too long' },
  /** The peer broke the rules of a websocket. */
  protocolError: {
    code: 1002,
    words: 'the cloud received what breaks the protocol, or nothing for too long',
  },
  /** A text frame that is no UTF-8. */
  invalidUtf8: { code: 1007, words: 'the cloud received text that is not UTF-8' },
  /** A message of more than 16,384 fragments. */
  tooManyFragments: { code: 1008, words: 'a message was in too many pieces for the cloud' },
  /** A message larger than `maxFrameBytes`. */
  messageTooBig: { code: 1009, words: 'a message was too large' },
  /** What an Elixir server sends when its handler raises. */
  internalError: { code: 1011, words: 'the cloud has failed' },
  /** The server is being shut down. */
  draining: { code: 4000, words: 'this node of the cloud shuts down' },
  /** The device does not read what is sent to it. */
  slowConsumer: { code: 4001, words: 'this device reads too slowly what it is sent' },
  /** The device sends more than `messagesPerSecond`. */
  rateLimited: { code: 4003, words: 'this device has sent too many messages at once' },
  /** The token has expired: log in again. */
  tokenExpired: { code: 4100, words: 'the token has expired' },
  /** The device's tokens were revoked. */
  revoked: { code: 4150, words: 'the cloud has revoked the token' },
  /** The device id has connected elsewhere. */
  replaced: {
    code: 4152,
    words: 'another machine, or another program on this one, has connected with this device id',
  },
} as const satisfies Record<string, { readonly code: number; readonly words: string }>;

/** The close codes this library sends (PROTOCOL.md §5). */
export const CLOSE = Object.freeze(
  Object.fromEntries(Object.entries(CODES).map(([name, { code }]) => [name, code])) as {
    readonly [Name in keyof typeof CODES]: (typeof CODES)[Name]['code'];
  },
);

/** What the codes say that others send. */
const WORDS_OF_OTHERS: readonly (readonly [code: number, words: string])[] = [
  [1001, 'the cloud or a proxy before it is going away'],
  [1005, 'the cloud has closed it without a reason'],
  [1012, 'the cloud restarts'],
  [1013, 'the cloud is overloaded'],
];

const WORDS = new Map<number, string>([
  ...Object.values(CODES).map(({ code, words }) => [code, words] as const),
  ...WORDS_OF_OTHERS,
]);

/** What a close code says, in words for people at the device; undefined for one that is not known. */
export function closeCodeWords(code: number): string | undefined {
  return WORDS.get(code);
}

/**
 * A device's reaction to a close code (PROTOCOL.md §5): `retry` with backoff, `login` because its token
 * is invalid, or retry `slow`ly because it needs human intervention.
 */
export function closeCodeAdvice(code: number): 'retry' | 'login' | 'slow' {
  if (code >= 4100 && code < 4150) return 'login';
  return code >= 4150 && code < 4200 ? 'slow' : 'retry';
}
