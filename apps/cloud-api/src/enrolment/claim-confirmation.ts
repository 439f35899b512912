import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import {
  type Claims as TokenClaims,
  type ConnectedDevice,
  type ConnectionChange,
  Fedecks,
} from '@fedecks/nest';
import { type Subscription } from 'rxjs';
import { Claims, REUSE_MINUTES } from './claims.js';

/**
 * A device asks for its token as soon as it is connected. If its connection lasts for this long, in milliseconds, the
 * device has it.
 */
const HAS_TOKEN_AFTER_MS = 30_000;
/** How much the clocks of two nodes may differ. */
const CLOCK_TOLERANCE_S = 300;
const CONFIRMED_WITHIN_S = REUSE_MINUTES * 60 + CLOCK_TOLERANCE_S;

/**
 * Confirms claims when the device surely has its token: it has connected with it, or stayed connected after its login.
 * If the database cannot be reached just then, the device may use its claim again until {@link REUSE_MINUTES} are over.
 */
@Injectable()
export class ClaimConfirmation implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('Claims');
  /** Those that this node has made at a login. Those in a token are other objects. */
  private readonly ofLogins = new WeakSet<TokenClaims>();
  private readonly timers = new Map<ConnectedDevice, NodeJS.Timeout>();
  private subscription: Subscription | undefined;

  constructor(
    private readonly claims: Pick<Claims, 'confirm'>,
    private readonly fedecks: Pick<Fedecks, 'connections$'>,
  ) {}

  onApplicationBootstrap(): void {
    this.subscription = this.fedecks.connections$.subscribe((change) => this.onChange(change));
  }

  onApplicationShutdown(): void {
    this.subscription?.unsubscribe();
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }

  /** What the token of a device that has just used a claim says. */
  tokenClaims(): TokenClaims {
    const claims = { claimedAt: Math.floor(Date.now() / 1_000) };
    this.ofLogins.add(claims);
    return claims;
  }

  private onChange({ type, device }: ConnectionChange): void {
    if (type === 'disconnected') {
      clearTimeout(this.timers.get(device));
      this.timers.delete(device);
      return;
    }
    const { claims } = device;
    const claimedAt = claims?.['claimedAt'];
    if (!claims || typeof claimedAt !== 'number') return;
    if (Date.now() / 1_000 - claimedAt > CONFIRMED_WITHIN_S) return;
    if (!this.ofLogins.has(claims)) return this.confirm(device.id);
    const onLasting = (): void => {
      this.timers.delete(device);
      this.confirm(device.id);
    };
    this.timers.set(device, setTimeout(onLasting, HAS_TOKEN_AFTER_MS).unref());
  }

  private confirm(deviceId: string): void {
    this.claims.confirm(deviceId).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : 'unknown error';
      this.logger.warn(`A claim was not confirmed, and can be used again for a while: ${reason}`);
    });
  }
}
