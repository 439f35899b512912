import { type IncomingMessage } from 'node:http';
import { guardedController } from '../../handlers/index.js';
import { AUTH_HEADER, type AuthHeader, decodeAuthHeader } from '../../wire/internal.js';
import { type AuthenticatedDevice, type SocketError } from '../device.js';
import { type Arrival } from '../duplicates.js';
import { type Grant, type TokenContent, type Tokens } from '../token.js';

/** The request of an upgrade, as guards see it. */
export interface UpgradeRequest extends Omit<IncomingMessage, 'signal'> {
  /** The address of the peer, or of the client a trusted proxy names. */
  remoteAddress?: string;
  /** Who the device says it is, as soon as that is read: not checked yet. */
  deviceId?: string;
  /** Set by {@link FedecksAuthGuard}, and so there for all guards after it. */
  device?: AuthenticatedDevice;
  /** @internal Set with {@link device}: what the tokens of the connection carry on. */
  grant?: Grant;
  /** @internal Set before the guards run. */
  arrival?: Arrival;
  /** Aborts when nobody waits for the guards any more: the device has gone, the time is up, or the app closes. */
  readonly signal?: AbortSignal;
}

/** A signal that is made when it is first asked for: few guards and authenticators do. */
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

/** A device that the guards have let in. */
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

/** Each header is read once, though limits and guard both look at it. */
const read = new WeakMap<UpgradeRequest, Presented>();

/** Reads the auth header, and checks the signature of its token: some microseconds of work. */
export function readPresented(request: UpgradeRequest, tokens: Pick<Tokens, 'verify'>): Presented {
  let presented = read.get(request);
  if (!presented) read.set(request, (presented = present(request, tokens)));
  return presented;
}

function present(request: UpgradeRequest, tokens: Pick<Tokens, 'verify'>): Presented {
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
