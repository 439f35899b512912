import { type ClientEvent, FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { Inbox } from '../../../../libs/fedecks/test/support/inbox.js';
import { type CloudApi, CREDENTIALS } from './cloud-api.js';

/** A device that keeps its token while clouds come and go. */
export class FleetDevice {
  private readonly store = new MemoryTokenStore();
  private client: FedecksClient | undefined;
  private events = new Inbox<ClientEvent>('event of the device');

  constructor(readonly id: string) {}

  /** Logs in, and ends the connection again: from now on it has a token. */
  async register(cloud: CloudApi): Promise<void> {
    const client = this.open(cloud);
    await client.login(CREDENTIALS);
    await client.stop();
  }

  /** Connects with its token, as after a boot. Returns whether it was let in. */
  async connect(cloud: CloudApi): Promise<'connected' | 'refused'> {
    await this.stop();
    await this.open(cloud).start();
    return this.outcome();
  }

  /** Whether it is let in the next time: `refused` with 403, as its token is revoked. */
  async outcome(): Promise<'connected' | 'refused'> {
    for (;;) {
      const event = await this.events.next(10_000);
      if (event.type === 'connected') return 'connected';
      if (event.type === 'upgrade_failed' && event.status === 403) return 'refused';
    }
  }

  /** How its connection ends. */
  async lost(): Promise<ClientEvent> {
    for (;;) {
      const event = await this.events.next(10_000);
      if (event.type === 'connection_lost') return event;
    }
  }

  async stop(): Promise<void> {
    await this.client?.stop();
  }

  private open(cloud: CloudApi): FedecksClient {
    const url = `ws://127.0.0.1:${cloud.port}/fedecks/websocket`;
    // At once, and not after seconds of its choice, as the devices of a fleet.
    const delays = { startDelayMs: 0, retryMinMs: 50 };
    this.client = new FedecksClient({ url, deviceId: this.id, tokenStore: this.store, ...delays });
    const events = new Inbox<ClientEvent>(`event of ${this.id}`);
    this.client.events$.subscribe((event) => events.put(event));
    this.events = events;
    return this.client;
  }
}
