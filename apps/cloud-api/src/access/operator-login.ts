import { HttpException, Injectable, UnauthorizedException } from '@nestjs/common';
import { networkOf } from '@fedecks/nest';
import { LoginLimits } from '../devices/login-limits.js';
import { LoginQueue } from '../devices/login-queue.js';
import { LoginMetrics, outcomeOfFailure } from '../operations/login-metrics.js';
import { Operators, type OperatorSecret } from './operators.js';
import { hashPassword, isPassword } from '../devices/password.js';

/** Devices have two threads of the four in Node's pool. */
const CONCURRENT = 1;
/** HTTP requests do not say that nobody waits for them any more: the queue has a limit of time. */
const NOT_ABORTED = new AbortController().signal;

/**
 * Checks and hashes the passwords of operators, one at a time. Failed attempts are limited by address and by name, as those of
 * devices are. An unknown name takes as long as a wrong password.
 */
@Injectable()
export class OperatorLogin {
  /** Compared with for unknown names. */
  private readonly nobody = hashPassword('');
  private readonly limits = new LoginLimits();
  private readonly queue = new LoginQueue(CONCURRENT);

  constructor(
    private readonly operators: Operators,
    private readonly metrics: LoginMetrics,
  ) {}

  /**
   * The operator of this name and password.
   * @param address of who tries.
   * @throws (rejects) 401 when they are wrong, 429 over a limit, 503 when too many wait, and what the database throws.
   */
  async check(name: string, password: string, address: string): Promise<OperatorSecret> {
    try {
      const operator = await this.find(name, password, address);
      this.metrics.onOperatorLogin('accepted');
      return operator;
    } catch (error) {
      this.metrics.onOperatorLogin(outcomeOfFailure(error));
      throw error;
    }
  }

  /** @throws (rejects) 503 when too many wait. */
  hash(password: string, address: string): Promise<string> {
    return this.queue.run(networkOf(address), NOT_ABORTED, () => hashPassword(password));
  }

  private async find(name: string, password: string, address: string): Promise<OperatorSecret> {
    const network = networkOf(address);
    if (!this.limits.admit(network, name)) {
      throw new HttpException('Too many failed logins for this name or address: wait a minute.', 429);
    }
    let hasFailed = false;
    try {
      const operator = await this.operators.secretOf(name);
      const hash = operator?.passwordHash ?? (await this.nobody);
      const isRight = await this.queue.run(network, NOT_ABORTED, () => isPassword(password, hash));
      hasFailed = !isRight || !operator;
      if (!isRight || !operator) throw new UnauthorizedException('The name or the password is wrong.');
      return operator;
    } finally {
      if (!hasFailed) this.limits.forgive(network, name);
    }
  }
}
