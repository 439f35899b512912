import { ServiceUnavailableException } from '@nestjs/common';

/** Hashing takes threads of Node's pool, which has four: the others are left to files and name lookups. */
const CONCURRENT = 2;
const MAX_WAITING = 100;
/** How long, in milliseconds, an upgrade waits for its login: nobody waits for an older one any more. */
export const MAX_LOGIN_MS = 10_000;

interface Login {
  readonly askedAt: number;
  readonly signal: AbortSignal;
  start(): Promise<void>;
  refuse(reason: string): void;
}

/**
 * Bounds the work of logins: 2 at a time, 100 wait. Networks take turns, so the many of one do not hold up the one
 * of another; where the queue is full, the network with most logins in it loses its newest.
 */
export class LoginQueue {
  private readonly waiting = new Map<string, Login[]>();
  private length = 0;
  private running = 0;

  /** @param concurrent how many run at a time. */
  constructor(private readonly concurrent = CONCURRENT) {}

  /**
   * Does the work when its turn comes.
   * @param signal aborts when nobody waits for it any more: it is not begun then.
   * @throws {ServiceUnavailableException} (rejects) when the queue is full, or the turn comes too late.
   */
  run<T>(network: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const login: Login = {
        askedAt: performance.now(),
        signal,
        start: () => work().then(resolve, reject),
        refuse: (reason) => reject(new ServiceUnavailableException(reason)),
      };
      if (this.length >= MAX_WAITING && !this.makeRoom(network)) {
        login.refuse('too many logins are queued');
        return;
      }
      const logins = this.waiting.get(network);
      if (logins) logins.push(login);
      else this.waiting.set(network, [login]);
      this.length++;
      this.startNext();
    });
  }

  /** Refuses the newest login of the network that has most, unless that would be the one that asks for room. */
  private makeRoom(network: string): boolean {
    let most: Login[] = [];
    for (const logins of this.waiting.values()) if (logins.length > most.length) most = logins;
    if (most.length <= (this.waiting.get(network)?.length ?? 0) + 1) return false;
    most.pop()?.refuse('too many logins are queued');
    this.length--;
    return true;
  }

  private startNext(): void {
    while (this.running < this.concurrent) {
      const login = this.takeNext();
      if (!login) return;
      if (login.signal.aborted || performance.now() - login.askedAt >= MAX_LOGIN_MS) {
        login.refuse('the login waited too long');
        continue;
      }
      this.running++;
      void login.start().finally(() => {
        this.running--;
        this.startNext();
      });
    }
  }

  /** The oldest login of the network whose turn it is; the network goes to the end of the line. */
  private takeNext(): Login | undefined {
    for (const [network, logins] of this.waiting) {
      const login = logins.shift();
      this.waiting.delete(network);
      if (logins.length > 0) this.waiting.set(network, logins);
      this.length--;
      return login;
    }
    return undefined;
  }
}
