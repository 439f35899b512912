import { type FinalState, type LanePosition, type QueueEntry } from '../../delivery/index.js';
import { decodeTerm, type Term } from '../../wire/internal.js';

/**
 * - `queued`: kept, and never sent.
 * - `sent`: sent at least once. The device may have handled it.
 * - `done`: the handler on the device has finished.
 * - `rejected`: it will not be handled; `code` says why.
 * - `expired`: its time passed before the device confirmed it. If it was sent, it may have been handled.
 * - `cancelled`: by `cancel`, or replaced by a newer message with its key (`code` is `replaced`). It was not handled, as far as
 *   the device has said.
 */
export type DeviceDeliveryState = 'queued' | 'sent' | FinalState;

/** A message for a device, as it was when it was asked for. */
export class DeviceDelivery {
  /** `device/epoch/lane/number`: the `key` of `@Delivery()` on the device. */
  readonly id: string;
  /** The device. */
  readonly deviceId: string;
  /** The name of its event. */
  readonly event: string;
  /** The option `key`. */
  readonly key: string | undefined;
  /** Where it is. A final state never changes. */
  readonly state: DeviceDeliveryState;
  /** How often it was sent. */
  readonly attempts: number;
  /** When it was put in. */
  readonly queuedAt: Date;
  /** When it was sent last. */
  readonly sentAt: Date | undefined;
  /** When it became final. */
  readonly finalAt: Date | undefined;
  /** Whether `cancel` was called after it was sent: it is not sent again. */
  readonly isCancelled: boolean;
  /**
   * What the handler on the device returned. Undefined if it returned nothing or more than 16 KiB, or the connection was lost
   * before it arrived.
   */
  readonly result: Term | undefined;
  /**
   * Why it was rejected: `invalid` (a pipe or guard on the device refused it), `no_handler`, `failed` (the handler failed five
   * times), `not_supported` (the device speaks protocol 1), `lost` (the store has lost the message).
   */
  readonly code: string | undefined;
  /** What the device says about it, for people. */
  readonly text: string | undefined;
  readonly #whenFinal: () => Promise<DeviceDelivery>;

  /** @internal */
  constructor(deviceId: string, entry: QueueEntry, whenFinal: () => Promise<DeviceDelivery>) {
    const { event, key, attempts, queuedAt, sentAt } = entry;
    this.id = idOf(deviceId, entry);
    this.deviceId = deviceId;
    this.event = event;
    this.key = key;
    this.state = stateOf(entry);
    this.attempts = attempts;
    this.queuedAt = new Date(queuedAt);
    this.sentAt = dateOf(sentAt);
    const final = 'finalAt' in entry ? entry : undefined;
    this.finalAt = dateOf(final?.finalAt);
    this.isCancelled = 'isCancelled' in entry;
    this.result = final?.result === undefined ? undefined : decodeTerm(Buffer.from(final.result, 'base64'));
    this.code = final?.code;
    this.text = final?.text;
    this.#whenFinal = whenFinal;
  }

  /**
   * The message once it has a final state: at once, or when the device, `cancel` or the end of its time gives it one, on
   * whichever node.
   * @throws {Error} (rejects) when nothing is known of it any more: 100 final states of a device are kept, for 7 days.
   * @throws what the store throws (rejects).
   */
  get final(): Promise<DeviceDelivery> {
    return this.#whenFinal();
  }
}

/** The state of an entry, as an application sees it. */
export function stateOf(entry: QueueEntry): DeviceDeliveryState {
  if ('finalAt' in entry) return entry.state;
  return entry.attempts === 0 ? 'queued' : 'sent';
}

function dateOf(at: number | undefined): Date | undefined {
  return at === undefined ? undefined : new Date(at);
}

export function idOf(deviceId: string, { epoch, lane, seq }: LanePosition): string {
  return `${deviceId}/${epoch}/${lane}/${seq}`;
}

/** The device and position of an id, or undefined if it is none. */
export function parseId(
  id: string,
): { readonly deviceId: string; readonly position: LanePosition } | undefined {
  const [, deviceId, epoch, lane, seq] = /^(.*)\/([\w-]{1,32})\/([0-7])\/(\d{1,16})$/s.exec(id) ?? [];
  if (deviceId === undefined || epoch === undefined) return undefined;
  return { deviceId, position: { epoch, lane: Number(lane), seq: Number(seq) } };
}
