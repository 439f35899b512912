import { Injectable } from '@nestjs/common';
import { type Term } from '@fedecks/nest/wire';
import { Subject } from 'rxjs';

/** What an operator has sent to a device. */
export interface SentMessage {
  readonly deviceId: string;
  /** The event's name; null for another term. */
  readonly event: string | null;
  readonly payload: Term;
}

/** What operators send to devices, for those who keep it. Costs nothing while nobody does. */
@Injectable()
export class SentMessages {
  /** Each message when it was sent, or is kept to be sent. Observers must not throw. */
  readonly sent$ = new Subject<SentMessage>();

  record(deviceId: string, event: string | null, payload: Term): void {
    if (this.sent$.observed) this.sent$.next({ deviceId, event, payload });
  }
}
