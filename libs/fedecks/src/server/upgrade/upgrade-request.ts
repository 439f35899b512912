import { type IncomingMessage } from 'node:http';
import { guardedController } from '../../faults/index.js';
import { AUTH_HEADER, type AuthHeader, decodeAuthHeader } from '../../wire/internal.js';
import { type AuthenticatedDevice, type SocketError } from '../device.js';
import { type Arrival } from '../duplicates.js';
import { type Grant, type TokenContent, type Tokens } from '../token.js';

/** The request of an upgrade, as guards see it. */
export interface UpgradeRequest extends Omit<IncomingMessage, 'signal'> {
  /** The address of the peer, or of the client behind trusted proxies. */
  remoteAddress?: string;
  /** The claimed device id, set when it is read. Not authenticated. */
  deviceId?: string;
  /** Set by {@link FedecksAuthGuard}, for all guards after it. */
  device?: AuthenticatedDevice;
  /** @internal Set with {@link device}: the grant that the tokens of the connection inherit. */
  grant?: Grant;
  /** @internal Set before the guards run. */
  arrival?: Arrival;
  /** Aborts when nobody needs the guards' result any more: disconnect, timeout, or shutdown. */
  readonly signal?: AbortSignal;
}

/** A signal created on first use: few guards and authenticators use it. */
export class LazySignal {
  private controller: AbortController | undefined;
  private aborted = false;

  /** @param onFailure called with what a listener of the signal throws. */
  constructor(private readonly onFailure: (error: unknown) => void) {}

  get signal(): AbortSignal {
    this.controller ??= guardedController(this.onFailure);
    if (this.aborted) this.controller.abort();
    return this.controller.signal;
  }

  abort(): void {
    this.aborted = true;
    this.controller?.abort();
  }

  /** Shows it as `request.signal`. */
  attachTo(request: UpgradeRequest): void {
    Object.defineProperty(request, 'signal', { get: () => this.signal, configurable: true });
  }
}

/** An authenticated device, and its grant. */
export interface Authenticated {
  readonly device: AuthenticatedDevice;
  readonly grant: Grant;
}

/** A rejected upgrade, and its reason. */
export class UpgradeRefused extends Error {
  constructor(readonly report: SocketError) {
    super(report.type);
  }
}

/** The contents of the auth header, without any query. */
export type Presented =
  | { readonly type: 'token'; readonly deviceId: string; readonly content: TokenContent }
  | { readonly type: 'credentials'; readonly header: AuthHeader & { readonly ok: true } }
  | { readonly type: 'invalid'; readonly refused: UpgradeRefused };

/** Caches the result, because both the limits and the guard need it. */
const cache = new WeakMap<UpgradeRequest, Presented>();

/** Reads the auth header, and checks the signature of its token: some microseconds of work. */
export function readPresented(request: UpgradeRequest, tokens: Pick<Tokens, 'verify'>): Presented {
  let presented = cache.get(request);
  if (!presented) cache.set(request, (presented = readAuthHeader(request, tokens)));
  return presented;
}

/** What {@link readPresented} has read; `unread`: nothing yet. */
export function presentedTypeOf(request: UpgradeRequest): Presented['type'] | 'unread' {
  return cache.get(request)?.type ?? 'unread';
}

function readAuthHeader(request: UpgradeRequest, tokens: Pick<Tokens, 'verify'>): Presented {
  const value = request.headers[AUTH_HEADER];
  const header = decodeAuthHeader(Array.isArray(value) ? value.join(', ') : value);
  if (!header.ok) return invalid(null, 'invalid_auth_header', header.info);
  const { deviceId, token } = header;
  request.deviceId = deviceId;
  if (token === undefined) return { type: 'credentials', header };
  const content = typeof token === 'string' ? tokens.verify(token) : undefined;
  if (!content) return invalid(deviceId, 'invalid_token');
  if (content.deviceId !== deviceId)
    return invalid(deviceId, 'invalid_token', `wrong device id in token, '${content.deviceId}'`);
  return { type: 'token', deviceId, content };
}

function invalid(deviceId: string | null, type: SocketError['type'], info = ''): Presented {
  return { type: 'invalid', refused: new UpgradeRefused({ deviceId, type, info }) };
}
