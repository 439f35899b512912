import { claimAfter, type DeliveryClaim, type HandledPosition, withHandled } from '../../delivery/index.js';

/**
 * Remembers for each device which of its deliveries were handled, so that none is handled twice. In memory by default,
 * in the backplane where there is one, or your own: in a database, for example.
 *
 * Its methods may be called again when they have thrown, or have taken longer than 5 s.
 */
export interface DeliveryStore {
  /**
   * A new connection of the device begins to deliver: from now on {@link setHandled} refuses those before.
   * @param endpoint the `path` of the endpoint: a device of another one is another device.
   */
  claim(endpoint: string, deviceId: string): DeliveryClaim | Promise<DeliveryClaim>;
  /**
   * Keeps the position as that of its lane, for ever. Keep what is there, and return true, where that has the same epoch
   * and a greater `seq`: a call that was slow may arrive after a later one.
   * @returns false, and nothing is changed, if there is a claim with a greater generation. Both in one step.
   */
  setHandled(
    endpoint: string,
    deviceId: string,
    generation: number,
    handled: HandledPosition,
  ): boolean | Promise<boolean>;
}

/** How many devices {@link MemoryDeliveryStore} remembers. */
const MAX_DEVICES = 100_000;

/**
 * What the devices of this process have delivered. A restart forgets it, and so does the 100,001st device for the one of
 * which nothing came for longest: then a message that was handled and not yet acknowledged is handled again.
 */
export class MemoryDeliveryStore implements DeliveryStore {
  /** The device that was written last is the last. */
  private readonly claims = new Map<string, DeliveryClaim>();

  claim(endpoint: string, deviceId: string): DeliveryClaim {
    const key = keyOf(endpoint, deviceId);
    return this.set(key, claimAfter(this.claims.get(key)));
  }

  setHandled(endpoint: string, deviceId: string, generation: number, handled: HandledPosition): boolean {
    const key = keyOf(endpoint, deviceId);
    const claim = withHandled(this.claims.get(key), generation, handled);
    if (claim) this.set(key, claim);
    return claim !== undefined;
  }

  private set(key: string, claim: DeliveryClaim): DeliveryClaim {
    this.claims.delete(key);
    this.claims.set(key, claim);
    const [oldest] = this.claims.keys();
    if (this.claims.size > MAX_DEVICES && oldest !== undefined) this.claims.delete(oldest);
    return claim;
  }
}

/** A path has no space. */
function keyOf(endpoint: string, deviceId: string): string {
  return `${endpoint} ${deviceId}`;
}
