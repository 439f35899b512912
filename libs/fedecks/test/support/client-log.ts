import { type ClientEvent, type FedecksClient } from '@fedecks/nest/client';
import { Inbox } from './inbox.js';

type EventOf<Type extends ClientEvent['type']> = Extract<ClientEvent, { type: Type }>;

/** What a client tells: its events in order, of which `until` takes those up to the next one of a type. */
export class ClientLog {
  private readonly inbox = new Inbox<ClientEvent>('event of the client');

  constructor(client: FedecksClient) {
    client.events$.subscribe((event) => this.inbox.put(event));
  }

  /** The next event of this type; the ones before it are passed over. Rejects when 5 s go by without an event. */
  async until<Type extends ClientEvent['type']>(type: Type): Promise<EventOf<Type>> {
    for (;;) {
      const event = await this.inbox.next();
      if (event.type === type) return event as EventOf<Type>;
    }
  }

  /** The next event, whatever it is. */
  async next(): Promise<ClientEvent> {
    return this.inbox.next();
  }

  /** The events that nobody has taken. */
  async rest(): Promise<ClientEvent[]> {
    const events: ClientEvent[] = [];
    while (this.inbox.size > 0) events.push(await this.inbox.next());
    return events;
  }
}
