import { Injectable, ServiceUnavailableException } from '@nestjs/common';
import {
  type AuthenticationResult,
  type Credentials,
  type DeviceAuthenticator,
  networkOf,
} from '@fedecks/nest';
import { ClaimConfirmation } from '../enrolment/claim-confirmation.js';
import { hashOfClaimCode } from '../enrolment/claim-code.js';
import { Claims } from '../enrolment/claims.js';
import { type DeviceAccount, DeviceAccounts } from '../enrolment/device-accounts.js';
import { DeviceBlocks } from '../enrolment/device-blocks.js';
import { isDeviceId } from '../http/device-id.js';
import { LookupDeadline } from '../enrolment/lookup-deadline.js';
import { LoginMetrics, type LoginOutcome } from '../operations/login-metrics.js';
import { LoginLimits } from './login-limits.js';
import { LoginQueue } from './login-queue.js';
import { LoginsFile } from './logins-file.js';
import { hashPassword, isPassword } from './password.js';

/** Longer ones are refused as wrong: an upgrade has no room for them anyway. */
const MAX_TEXT_LENGTH = 1_024;

type Presented =
  | { readonly type: 'claim'; readonly code: string }
  | { readonly type: 'password'; readonly username: string; readonly password: string };

/**
 * Checks a device's first login; from then on it presents its token. It presents `{ claim }`, `{ username, password }` of the
 * logins file, or `{ password }` of its own, with its id as the username if any.
 */
@Injectable()
export class DeviceLogin implements DeviceAuthenticator {
  /** Compared with when there is no password, so that the time taken does not tell. */
  private readonly nobody = hashPassword('');
  private readonly limits = new LoginLimits();
  private readonly queue = new LoginQueue();

  constructor(
    private readonly logins: LoginsFile,
    private readonly accounts: DeviceAccounts,
    private readonly blocks: DeviceBlocks,
    private readonly claims: Claims,
    private readonly confirmation: ClaimConfirmation,
    private readonly deadline: LookupDeadline,
    private readonly metrics: LoginMetrics,
  ) {}

  /**
   * @throws {ServiceUnavailableException} (rejects) where the login is not looked at: over a limit, too busy, or the database
   * does not answer.
   */
  async authenticate(
    credentials: Credentials,
    device: { readonly id: string; readonly remoteAddress: string; readonly signal: AbortSignal },
  ): Promise<AuthenticationResult> {
    const presented = presentedIn(credentials, device.id);
    if (!presented) {
      this.metrics.onDeviceLogin('other', 'rejected');
      return false;
    }
    const network = networkOf(device.remoteAddress);
    if (!this.limits.admit(network, device.id)) {
      this.metrics.onDeviceLogin(presented.type, 'limited');
      throw new ServiceUnavailableException('too many failed logins from this address or device id');
    }
    let outcome: LoginOutcome = 'unavailable';
    try {
      const result = await this.queue.run(network, device.signal, () => this.check(presented, device.id));
      outcome = result === false ? 'rejected' : 'accepted';
      return result;
    } finally {
      if (outcome !== 'rejected') this.limits.forgive(network, device.id);
      this.metrics.onDeviceLogin(presented.type, outcome);
    }
  }

  private async check(presented: Presented, deviceId: string): Promise<AuthenticationResult> {
    const account = await this.accountOf(deviceId);
    const isBlocked = account === 'unknown' ? this.blocks.wasBlocked(deviceId) : account.isBlocked;
    if (isBlocked) return false;
    return presented.type === 'claim'
      ? this.checkClaim(presented.code, deviceId)
      : this.checkPassword(presented, deviceId, account);
  }

  /** Unknown: the database does not answer. Logins of the file go on. */
  private async accountOf(deviceId: string): Promise<DeviceAccount | 'unknown'> {
    try {
      return await this.deadline.ask(() => this.accounts.find(deviceId));
    } catch (error) {
      if (error instanceof ServiceUnavailableException) return 'unknown';
      throw error;
    }
  }

  private async checkClaim(code: string, deviceId: string): Promise<AuthenticationResult> {
    const codeHash = hashOfClaimCode(code);
    // The database could not keep the id.
    if (!codeHash || !isDeviceId(deviceId)) return false;
    const isRight = await this.deadline.ask(() => this.claims.use(codeHash, deviceId));
    return isRight && { claims: this.confirmation.tokenClaims() };
  }

  private async checkPassword(
    { username, password }: Presented & { type: 'password' },
    deviceId: string,
    account: DeviceAccount | 'unknown',
  ): Promise<AuthenticationResult> {
    const login = await this.logins.find(username);
    if (!login && username === deviceId && account === 'unknown')
      throw new ServiceUnavailableException('the database does not answer');
    const own = username === deviceId && account !== 'unknown' ? account.passwordHash : undefined;
    const hash = login?.password ?? own;
    const isRight = await isPassword(password, hash ?? (await this.nobody));
    if (!isRight || hash === undefined) return false;
    if (!login) return true;
    const isAllowed = login.devices.includes(deviceId) || login.devices.includes('*');
    return isAllowed && { claims: { username } };
  }
}

function presentedIn({ claim, username, password }: Credentials, deviceId: string): Presented | undefined {
  if (claim !== undefined) return isShortText(claim) ? { type: 'claim', code: claim } : undefined;
  const name = username ?? deviceId;
  return isShortText(name) && isShortText(password)
    ? { type: 'password', username: name, password }
    : undefined;
}

function isShortText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT_LENGTH;
}
