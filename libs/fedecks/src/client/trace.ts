import { channel } from 'node:diagnostics_channel';
import { debuglog } from 'node:util';
import { printable } from '../faults/index.js';
import { eventOf, type Term } from '../wire/internal.js';
import { type ClientEvent } from './client-event.js';
import { explain } from './explain-event.js';

const EVENT = channel('fedecks:client:event');
const SENT = channel('fedecks:client:sent');
const RECEIVED = channel('fedecks:client:received');

const MAX_NAME_CHARS = 64;
const MAX_LINE_CHARS = 2_000;
const log = debuglog('fedecks');

/** Traces a client to `NODE_DEBUG=fedecks` and diagnostics channels. Never payloads, credentials or tokens. */
export class Trace {
  constructor(private readonly deviceId: string) {}

  onEvent(event: ClientEvent): void {
    const { deviceId } = this;
    if (EVENT.hasSubscribers) EVENT.publish({ deviceId, event });
    if (log.enabled) this.print(explain(event));
  }

  /** @param message undefined for bytes that are sent as they are. */
  onSent(bytes: number, message?: Term): void {
    if (!SENT.hasSubscribers && !log.enabled) return;
    const event = nameOfEvent(message);
    if (SENT.hasSubscribers) SENT.publish({ deviceId: this.deviceId, event, bytes });
    if (log.enabled) this.print(`sent ${shown(event)}, ${bytes} bytes`);
  }

  onReceived(bytes: number, message: Term): void {
    if (!RECEIVED.hasSubscribers && !log.enabled) return;
    const event = nameOfEvent(message);
    if (RECEIVED.hasSubscribers) RECEIVED.publish({ deviceId: this.deviceId, event, bytes });
    if (log.enabled) this.print(`received ${shown(event)}, ${bytes} bytes`);
  }

  /** @param what what happened to a message of the outbox, for people. */
  onDelivery(lane: string, seq: number, what: string): void {
    if (log.enabled) this.print(`delivery ${seq} of lane ${JSON.stringify(lane)}: ${what}`);
  }

  /** What servers, proxies and disks say of a failure may be part of a line, and cannot begin another one. */
  private print(what: string): void {
    log('%s', printable(`${JSON.stringify(this.deviceId)}: ${what}`, MAX_LINE_CHARS));
  }
}

function nameOfEvent(message: Term | undefined): string | undefined {
  return message === undefined ? undefined : eventOf(message)?.name.slice(0, MAX_NAME_CHARS);
}

function shown(event: string | undefined): string {
  return event === undefined ? 'a message' : `event ${JSON.stringify(event)}`;
}
