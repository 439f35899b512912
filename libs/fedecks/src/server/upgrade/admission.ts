import { messageOf, nameOf } from '../../faults/index.js';
import {
  type Attempt,
  ATTEMPT_HEADER,
  CLONE_REASON,
  decodeAttempt,
  FedecksError,
} from '../../wire/internal.js';
import { type AuthenticatedDevice, type SocketError } from '../device.js';
import { type Arrival, refusalOf } from '../duplicates.js';
import { type ResolvedOptions } from '../fedecks-options.js';
import { type Revocations } from '../revocations.js';
import { type Tokens } from '../token.js';
import { networkOf, PeerAddress } from './address.js';
import { UpgradeSlots, UpgradeLimiter } from './limits.js';
import {
  type Authenticated,
  LazySignal,
  readPresented,
  UpgradeRefused,
  type UpgradeRequest,
} from './upgrade-request.js';

/** An accepted device, or the HTTP status of the rejection. */
export type UpgradeDecision =
  Authenticated | { readonly status: number; readonly retryAfterS?: number; readonly reason?: string };

/** Acts on a decision, and returns whether a connection was opened. Called once, unless the upgrade is aborted. */
export type OnDecision = (decision: UpgradeDecision) => boolean;

/** How many upgrades with a token, and how many without, wait for guards and authenticator at the same time. */
export const MAX_WAITING = 1_000;

/** The Retry-After of transient rejections, in seconds. */
const RETRY_AFTER_S = 10;

const NOT_NOW: UpgradeDecision = { status: 503, retryAfterS: RETRY_AFTER_S };

/** The Retry-After while draining: another node, or this one after its restart, accepts the device. */
const DRAINING: UpgradeDecision = { status: 503, retryAfterS: 1 };

/** The Retry-After and reason for a rejected clone. */
const CLONE: UpgradeDecision = { status: 503, retryAfterS: 60, reason: CLONE_REASON };

/** What admission needs of its endpoint. */
export interface AdmissionContext {
  readonly options: Pick<
    ResolvedOptions,
    'duplicates' | 'trustedProxies' | 'upgradesPerAddressPerMinute' | 'upgradesPerSecond' | 'upgradeTimeoutMs'
  >;
  readonly tokens: Pick<Tokens, 'verify'>;
  readonly revocations: Pick<Revocations, 'wasRevokedMeanwhile'>;
  /** With `duplicates: 'oldest'`, claims a device id among all nodes, and releases it. */
  readonly claims: {
    claim(device: AuthenticatedDevice): boolean | Promise<boolean>;
    unclaim(deviceId: string): void;
  };
  /** Runs the guards. @throws {UpgradeRefused} when the device may not connect. */
  authenticate(request: UpgradeRequest): Promise<Authenticated>;
  /** Whether this node holds a connection of the device. */
  isConnected(deviceId: string): boolean;
  /** Whether an upgrade is older than the connection it would replace. */
  isOutdated(deviceId: string, arrival: Arrival): boolean;
  /** Whether to reject an upgrade because another machine uses its device id. */
  isRefusedClone(deviceId: string, attempt: Attempt | undefined): boolean;
  /** As {@link isRefusedClone}, if the other machine is connected to another node. */
  isCloneElsewhere(deviceId: string, attempt: Attempt | undefined): false | Promise<boolean>;
  /** Whether unhandled messages of the device's ended connections fill its mailbox. */
  isBehind(deviceId: string): boolean;
  report(error: SocketError): void;
  /** Runs work now, or in a later turn of the event loop if this one is used up. */
  run(work: () => void): void;
}

/** The limits of one kind of upgrades. */
interface Lane {
  readonly limiter: UpgradeLimiter;
  readonly slots: UpgradeSlots;
}

/**
 * Decides on upgrades: limits, guards, claim, and a recheck after the guards.
 *
 * Upgrades with a valid token and all others (logins, bad tokens, garbage) have separate limits, so that unauthenticated
 * clients do not block devices with tokens. A revoked token counts as valid here, until the store is queried; the limit
 * per device bounds such upgrades.
 */
export class Admission {
  private readonly address: PeerAddress;
  private readonly tokenLane: Lane;
  private readonly strangerLane: Lane;
  /** Settles the wait for the guards, by upgrade. */
  private readonly waiting = new Map<UpgradeRequest, (decision: UpgradeDecision | undefined) => void>();
  private draining = false;
  /** The server listens on a unix socket: its peers have no address. */
  onUnixSocket = false;

  constructor(private readonly context: AdmissionContext) {
    const { options } = context;
    this.address = new PeerAddress(options.trustedProxies);
    this.tokenLane = {
      limiter: UpgradeLimiter.ofTokens(options),
      slots: new UpgradeSlots(MAX_WAITING, MAX_WAITING),
    };
    // One address may occupy only half of the slots, so that a slow login does not block the others.
    this.strangerLane = {
      limiter: UpgradeLimiter.ofStrangers(options),
      slots: new UpgradeSlots(MAX_WAITING, MAX_WAITING / 2),
    };
  }

  /**
   * Decides on an upgrade, within `upgradeTimeoutMs`. `act` is called with the decision, and opens the connection
   * before anything else can change.
   * @param opens the request asks for a websocket, so it needs a claim.
   */
  async decide(request: UpgradeRequest, opens: boolean, act: OnDecision): Promise<void> {
    if (this.draining) return void act(DRAINING);
    const { options, claims } = this.context;
    const attempt = decodeAttempt(request.headers[ATTEMPT_HEADER]);
    const arrival = (request.arrival = { askedAt: performance.now(), attempt });
    const key = networkOf((request.remoteAddress = this.address.of(request, this.onUnixSocket)));
    const presented = readPresented(request, this.context.tokens);
    const lane = presented.type === 'token' ? this.tokenLane : this.strangerLane;
    const refusal = this.count(lane, key, presented.type === 'token' ? presented.deviceId : key);
    if (refusal) return void act(refusal);
    const authorized = await this.authorize(request, key, lane.slots);
    if (!authorized) return;
    const isClaimed = opens && options.duplicates === 'oldest' && 'device' in authorized;
    let decision = isClaimed ? await this.claim(authorized) : authorized;
    const isClone =
      opens && 'device' in decision && this.context.isCloneElsewhere(decision.device.id, attempt);
    if (isClone && (await isClone) && 'device' in decision) decision = this.clone(decision.device);
    let opened = false;
    try {
      opened = act('device' in decision ? this.recheck(decision, arrival) : decision);
    } finally {
      if (isClaimed && 'device' in decision && !opened) claims.unclaim(decision.device.id);
    }
  }

  /** Aborts the upgrade, as its socket has closed. */
  abort(request: UpgradeRequest): void {
    this.waiting.get(request)?.(undefined);
  }

  /** Rejects every upgrade from now on, and those that wait. */
  drain(): void {
    this.draining = true;
    for (const settle of [...this.waiting.values()]) settle(DRAINING);
  }

  /** Counts the upgrade before any work for it, or rejects it. */
  private count({ limiter, slots }: Lane, key: string, sharer: string): UpgradeDecision | undefined {
    if (!slots.hasRoom(key)) return NOT_NOW;
    const retryAfterS = limiter.refuse(key, sharer, performance.now());
    return retryAfterS === undefined ? undefined : { status: 503, retryAfterS };
  }

  /** Waits for the guards until the timeout or an abort; undefined after an abort. */
  private authorize(
    request: UpgradeRequest,
    key: string,
    slots: UpgradeSlots,
  ): Promise<UpgradeDecision | undefined> {
    const abort = new LazySignal((error) => this.failed(request.deviceId ?? null, error));
    abort.attachTo(request);
    return new Promise((resolve) => {
      const settle = (decision: UpgradeDecision | undefined): void => {
        if (!this.waiting.delete(request)) return;
        resolve(decision);
        abort.abort();
      };
      this.waiting.set(request, settle);
      slots.take(key);
      // Aborted work still runs: its place is freed when it ends, or at the timeout.
      let holdsSlot = true;
      const release = (): void => {
        if (holdsSlot) slots.release(key);
        holdsSlot = false;
      };
      const timer = setTimeout(() => {
        release();
        if (this.waiting.has(request)) settle(this.refuse(request, new UpgradeTimeout()));
      }, this.context.options.upgradeTimeoutMs).unref();
      const onEnd = (): void => {
        clearTimeout(timer);
        release();
      };
      const onResult = (decision: () => UpgradeDecision): void => {
        onEnd();
        if (this.waiting.delete(request)) resolve(decision());
      };
      // Many simultaneous upgrades, as after a restart, must not delay connected devices.
      this.context.run(() => {
        if (!this.waiting.has(request)) return onEnd();
        this.context.authenticate(request).then(
          (authenticated) => onResult(() => authenticated),
          (error: unknown) => onResult(() => this.refuse(request, error)),
        );
      });
    });
  }

  /** With `duplicates: 'oldest'`, rejects a device that is connected to any node. */
  private async claim(authenticated: Authenticated): Promise<UpgradeDecision> {
    const { device } = authenticated;
    try {
      const isFree = !this.context.isConnected(device.id) && (await this.context.claims.claim(device));
      return isFree ? authenticated : this.duplicate(device);
    } catch (error) {
      return this.failed(device.id, error);
    }
  }

  /** Rechecks what may have changed while the guards ran. Runs synchronously before the 101. */
  private recheck(authenticated: Authenticated, arrival: Arrival): UpgradeDecision {
    const { device, grant } = authenticated;
    if (this.draining) return DRAINING;
    if (this.context.revocations.wasRevokedMeanwhile(device.id, grant.generation)) {
      this.context.report({ deviceId: device.id, type: 'invalid_token', info: 'revoked' });
      return { status: 403 };
    }
    if (this.context.isBehind(device.id)) {
      const info = 'messages of its earlier connections still wait for handlers';
      this.context.report({ deviceId: device.id, type: 'upgrade_failed', info });
      return NOT_NOW;
    }
    if (this.context.options.duplicates === 'oldest' && this.context.isConnected(device.id))
      return this.duplicate(device);
    if (this.context.isOutdated(device.id, arrival)) {
      const info = 'a newer attempt of this device is already connected';
      this.context.report({ deviceId: device.id, type: 'late_attempt', info });
      return NOT_NOW;
    }
    return this.context.isRefusedClone(device.id, arrival.attempt) ? this.clone(device) : authenticated;
  }

  private clone({ id, remoteAddress }: AuthenticatedDevice): UpgradeDecision {
    this.context.report(refusalOf(id, remoteAddress));
    return CLONE;
  }

  private duplicate({ id: deviceId }: AuthenticatedDevice): UpgradeDecision {
    this.context.report({ deviceId, type: 'duplicate', info: 'this device id is already connected' });
    return NOT_NOW;
  }

  private refuse(request: UpgradeRequest, error: unknown): UpgradeDecision {
    if (error instanceof UpgradeRefused) {
      this.context.report(error.report);
      return { status: 403 };
    }
    return this.failed(request.deviceId ?? null, error);
  }

  /** A fault of the cloud: the device may retry, and its token stays valid. */
  private failed(deviceId: string | null, error: unknown): UpgradeDecision {
    this.context.report({ deviceId, type: 'upgrade_failed', info: infoOf(error), error });
    return NOT_NOW;
  }
}

class UpgradeTimeout extends Error {
  override readonly name = 'UpgradeTimeout';
  override readonly message = 'authenticator and guards took longer than upgradeTimeoutMs';
}

/**
 * The message of an error of this library or of an HttpException, which is meant for the peer. Other messages may contain
 * credentials.
 */
function infoOf(error: unknown): string {
  const isForAll =
    error instanceof FedecksError ||
    error instanceof UpgradeTimeout ||
    (error instanceof Error && 'getStatus' in error);
  return isForAll ? messageOf(error) : nameOf(error);
}
