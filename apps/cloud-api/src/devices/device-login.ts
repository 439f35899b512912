import { Injectable, ServiceUnavailableException } from '@nestjs/common';
import {
  type AuthenticationResult,
  type Credentials,
  type DeviceAuthenticator,
  networkOf,
} from '@fedecks/nest';
import { LoginLimits } from './login-limits.js';
import { LoginQueue } from './login-queue.js';
import { LoginsFile } from './logins-file.js';
import { hashPassword, isPassword } from './password.js';

/** Longer ones are refused as wrong: an upgrade has no room for them anyway. */
const MAX_TEXT_LENGTH = 1_024;

/** Checks username and password of a device's first login; from then on it presents its token. */
@Injectable()
export class DeviceLogin implements DeviceAuthenticator {
  /** Compared with when there is no such username, so that the time taken does not tell which ones exist. */
  private readonly nobody = hashPassword('');
  private readonly limits = new LoginLimits();
  private readonly queue = new LoginQueue();

  constructor(private readonly logins: LoginsFile) {}

  /** @throws {ServiceUnavailableException} (rejects) where the password is not looked at: over a limit, or too busy. */
  async authenticate(
    { username, password }: Credentials,
    device: { readonly id: string; readonly remoteAddress: string; readonly signal: AbortSignal },
  ): Promise<AuthenticationResult> {
    if (!isShortText(username) || !isShortText(password)) return false;
    const network = networkOf(device.remoteAddress);
    if (!this.limits.admit(network, device.id)) {
      throw new ServiceUnavailableException('too many failed logins from this address or device id');
    }
    let hasFailed = false;
    try {
      const result = await this.queue.run(network, device.signal, () =>
        this.check(username, password, device.id),
      );
      hasFailed = result === false;
      return result;
    } finally {
      if (!hasFailed) this.limits.forgive(network, device.id);
    }
  }

  private async check(username: string, password: string, deviceId: string): Promise<AuthenticationResult> {
    const login = await this.logins.find(username);
    const isRight = await isPassword(password, login?.password ?? (await this.nobody));
    if (!isRight || !login) return false;
    const isAllowed = login.devices.includes(deviceId) || login.devices.includes('*');
    return isAllowed && { claims: { username } };
  }
}

function isShortText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT_LENGTH;
}
