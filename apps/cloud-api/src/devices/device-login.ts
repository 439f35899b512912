import { Injectable } from '@nestjs/common';
import { type AuthenticationResult, type Credentials, type DeviceAuthenticator } from '@fedecks/nest';
import { LoginsFile } from './logins-file.js';
import { hashPassword, isPassword } from './password.js';

/** Checks username and password of a device's first login; from then on it presents its token. */
@Injectable()
export class DeviceLogin implements DeviceAuthenticator {
  /** Compared with when there is no such username, so that the time taken does not tell which ones exist. */
  private readonly nobody = hashPassword('');

  constructor(private readonly logins: LoginsFile) {}

  async authenticate(
    { username, password }: Credentials,
    device: { readonly id: string },
  ): Promise<AuthenticationResult> {
    if (typeof username !== 'string' || typeof password !== 'string') return false;
    const login = await this.logins.find(username);
    const known = await isPassword(password, login?.password ?? (await this.nobody));
    if (!known || !login) return false;
    const allowed = login.devices.includes(device.id) || login.devices.includes('*');
    return allowed && { claims: { username } };
  }
}
