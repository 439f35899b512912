import { type Observable } from 'rxjs';
import { type DeviceDelivery, parseId } from './device-delivery.js';
import { type ToDevices } from './to-devices.js';

/** The messages that were put in for devices with `deliver`, and their states. */
export class DeviceDeliveries {
  /** Each change of a state, on whichever node it happens. A node that is not reachable tells of it later, or not at all. */
  readonly changes$: Observable<DeviceDelivery>;

  /** @internal @param targets returns the endpoints to act on. */
  constructor(
    private readonly targets: () => readonly { readonly toDevices: ToDevices }[],
    changes$: Observable<DeviceDelivery>,
  ) {
    this.changes$ = changes$;
  }

  /**
   * A message by its id. Undefined if there is none, or its final state is no longer kept: of each device, 100 are for 7 days.
   * @throws {BackplaneError} (rejects) when the other nodes are unreachable, and they keep it; or what your store throws.
   */
  async get(id: string): Promise<DeviceDelivery | undefined> {
    const parsed = parseId(id);
    if (!parsed) return undefined;
    for (const { toDevices } of this.targets()) {
      const found = await toDevices.get(parsed.deviceId, parsed.position);
      if (found) return found;
    }
    return undefined;
  }

  /**
   * What is known of a device: the final ones, oldest first, and then those that wait, in the order they were put in.
   * @throws as {@link get} does.
   */
  async of(deviceId: string): Promise<DeviceDelivery[]> {
    const found = await Promise.all(this.targets().map(({ toDevices }) => toDevices.of(deviceId)));
    return found.flat();
  }

  /**
   * Cancels a message that was not sent. One that was sent is not sent again, but the device may have handled it, or may be
   * handling it: then it becomes `done` all the same.
   * @returns the message afterwards, as {@link get} does.
   * @throws as {@link get} does.
   */
  async cancel(id: string): Promise<DeviceDelivery | undefined> {
    const parsed = parseId(id);
    if (!parsed) return undefined;
    for (const { toDevices } of this.targets()) {
      const found = await toDevices.cancel(parsed.deviceId, parsed.position);
      if (found) return found;
    }
    return undefined;
  }
}
