import {
  Logger,
  NotFoundException,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  ServiceUnavailableException,
} from '@nestjs/common';
import { type Fedecks } from '@fedecks/nest';
import { type Subscription } from 'rxjs';
import { type DeviceAccounts } from './device-accounts.js';

const ENFORCE_EVERY_MS = 10_000;

/**
 * Keeps blocked devices out. The flag in the database refuses every login; revoking ends the tokens, and the connection. The
 * flag comes first: a device that logs in between the two has a token that is revoked.
 *
 * Each node closes what it holds of blocked devices all the same, at once or within 10 s: because a request ended between the
 * two steps, or because a device logged in while the database could not be asked.
 */
export class DeviceBlocks implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('Blocks');
  /** As the database said last. */
  private blocked = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private subscription: Subscription | undefined;
  private isEnforcing = false;

  constructor(
    private readonly accounts: DeviceAccounts,
    private readonly fedecks: Fedecks,
    private readonly enforceEveryMs = ENFORCE_EVERY_MS,
  ) {}

  onApplicationBootstrap(): void {
    this.subscription = this.fedecks.connections$.subscribe(({ type, device }) => {
      if (type === 'connected' && this.blocked.has(device.id)) void this.enforceOn(device.id);
    });
    void this.enforce();
    this.timer = setInterval(() => void this.enforce(), this.enforceEveryMs).unref();
  }

  onApplicationShutdown(): void {
    this.subscription?.unsubscribe();
    clearInterval(this.timer);
  }

  /** Whether the device was blocked when the database was asked last: for when it does not answer. */
  wasBlocked(deviceId: string): boolean {
    return this.blocked.has(deviceId);
  }

  /**
   * Blocks a device, revokes its tokens, and closes its connections.
   * @throws {NotFoundException} (rejects) when nobody knows the device.
   * @throws {ServiceUnavailableException} (rejects) when it is blocked, but its tokens are not revoked: block it again.
   */
  async block(deviceId: string): Promise<void> {
    if (!(await this.accounts.setBlocked(deviceId, true))) {
      await this.expectOnline(deviceId);
      await this.accounts.addBlocked(deviceId);
    }
    this.blocked.add(deviceId);
    await this.revokeNow(
      deviceId,
      'The device is blocked, but its tokens are not revoked: repeat the request.',
    );
  }

  /** Lets a device log in again. Its old tokens stay revoked. @throws {NotFoundException} (rejects) when nobody knows it. */
  async unblock(deviceId: string): Promise<void> {
    if (!(await this.accounts.setBlocked(deviceId, false))) throw unknown(deviceId);
    this.blocked.delete(deviceId);
  }

  /**
   * Revokes the tokens of a device, and closes its connections: it has to log in again.
   * @throws {NotFoundException} (rejects) when nobody knows it.
   * @throws {ServiceUnavailableException} (rejects) when they are not revoked.
   */
  async revoke(deviceId: string): Promise<void> {
    if (!(await this.accounts.isKnown(deviceId))) await this.expectOnline(deviceId);
    await this.revokeNow(deviceId, 'The tokens of the device are not revoked: repeat the request.');
  }

  private async revokeNow(deviceId: string, problem: string): Promise<void> {
    try {
      await this.fedecks.revoke(deviceId);
    } catch (cause) {
      throw new ServiceUnavailableException(problem, { cause });
    }
  }

  /** A device that has just come is not in the database yet. */
  private async expectOnline(deviceId: string): Promise<void> {
    if ((await this.fedecks.presence.get(deviceId))?.state !== 'online') throw unknown(deviceId);
  }

  private async enforceOn(deviceId: string): Promise<void> {
    try {
      await this.fedecks.revoke(deviceId);
    } catch (error) {
      // Its connections are closed. Its tokens are revoked when it comes back.
      this.logger.warn(`The tokens of a blocked device were not revoked: ${reasonOf(error)}`);
    }
  }

  private async enforce(): Promise<void> {
    if (this.isEnforcing) return;
    this.isEnforcing = true;
    try {
      this.blocked = new Set(await this.accounts.blockedIds());
      const here = this.blocked.size === 0 ? [] : this.fedecks.devices();
      for (const { id } of here) if (this.blocked.has(id)) await this.enforceOn(id);
    } catch (error) {
      // The database cannot be asked: it is, next time.
      this.logger.debug(`Blocked devices were not looked for: ${reasonOf(error)}`);
    } finally {
      this.isEnforcing = false;
    }
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error';
}

function unknown(deviceId: string): NotFoundException {
  return new NotFoundException(`The device ${JSON.stringify(deviceId)} does not exist: check its id.`);
}
