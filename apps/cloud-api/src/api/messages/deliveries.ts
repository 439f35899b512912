import { Injectable } from '@nestjs/common';
import { type DeviceDelivery, Fedecks } from '@fedecks/nest';
import { type Term } from '@fedecks/nest/wire';
import { inTime } from '../../database/in-time.js';
import { deliveryErrorOf } from './send-errors.js';
import { SentMessages } from '../../recording/sent-messages.js';

/** How long, in milliseconds, a request waits for the store, which the library asks up to three times, 5 s each. */
const DEADLINE_MS = 10_000;

interface Keep {
  readonly ttlMs?: number;
  readonly key?: string;
  readonly lane?: string;
}

/** Messages that are kept for devices until these have handled them, with errors as HTTP statuses. */
@Injectable()
export class Deliveries {
  constructor(
    private readonly fedecks: Fedecks,
    private readonly sent: SentMessages,
  ) {}

  async put(deviceId: string, event: string, payload: Term, options: Keep = {}): Promise<DeviceDelivery> {
    const putting = this.fedecks.deliver(deviceId, event, payload, options).then((delivery) => {
      this.sent.record(deviceId, event, payload);
      return delivery;
    });
    return soon(putting);
  }

  of(deviceId: string): Promise<DeviceDelivery[]> {
    return soon(this.fedecks.deliveries.of(deviceId));
  }

  async get(id: string): Promise<DeviceDelivery | undefined> {
    return canBeKept(id) ? soon(this.fedecks.deliveries.get(id)) : undefined;
  }

  async cancel(id: string): Promise<DeviceDelivery | undefined> {
    return canBeKept(id) ? soon(this.fedecks.deliveries.cancel(id)) : undefined;
  }

  /** Cancels all that waits for a device. */
  async cancelAllOf(deviceId: string): Promise<void> {
    for (const { id, finalAt } of await this.of(deviceId)) if (!finalAt) await this.cancel(id);
  }
}

/** Postgres fails where it is asked for text with NUL. */
function canBeKept(id: string): boolean {
  return !id.includes('\0');
}

/** Rejects with a status, within the deadline. */
function soon<T>(work: Promise<T>): Promise<T> {
  return inTime(work, DEADLINE_MS, () => new Error(`no answer within ${DEADLINE_MS} ms`)).catch(
    (error: unknown) => {
      throw deliveryErrorOf(error);
    },
  );
}
