import { createHash, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Credentials, DeviceAuthenticator } from '@fedecks/nest';

/** Decides who may log in. A device that has logged in comes back with its token, and is not asked again. */
@Injectable()
export class GreenhouseLogin implements DeviceAuthenticator {
  private readonly expected: Buffer;

  constructor() {
    const password = process.env['GREENHOUSE_PASSWORD'];
    if (!password)
      throw new Error('GREENHOUSE_PASSWORD is missing: set it to the password devices log in with');
    this.expected = hash(password);
  }

  authenticate({ username, password }: Credentials): boolean {
    if (username !== 'greenhouse' || typeof password !== 'string') return false;
    return timingSafeEqual(hash(password), this.expected);
  }
}

/** Two texts of any length, made comparable in constant time. */
function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
