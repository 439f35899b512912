import { type ClientEvent, type FedecksClient } from '@fedecks/nest/client';
import { Inbox } from './inbox.js';

type EventOf<Type extends ClientEvent['type']> = Extract<ClientEvent, { type: Type }>;

/** The events of a client in order; `until` skips to the next one of a type. */
export class ClientLog {
  private readonly inbox = new Inbox<ClientEvent>('event of the client');

  constructor(client: FedecksClient) {
    client.events$.subscribe((event) => this.inbox.put(event));
  }

  /** The next event of this type; skips the ones before it. Rejects after 5 s without an event. */
  async until<Type extends ClientEvent['type']>(type: Type): Promise<EventOf<Type>> {
    for (;;) {
      const event = await this.inbox.next();
      if (event.type === type) return event as EventOf<Type>;
    }
  }

  /** The next event of any type. */
  async next(): Promise<ClientEvent> {
    return this.inbox.next();
  }

  /** The events not consumed yet. */
  async rest(): Promise<ClientEvent[]> {
    const events: ClientEvent[] = [];
    while (this.inbox.size > 0) events.push(await this.inbox.next());
    return events;
  }
}
