import { type DeliveryStore, MemoryDeliveryStore } from '@fedecks/nest';

type Arguments<Method extends keyof DeliveryStore> = Parameters<Required<DeliveryStore>[Method]>;
type Answer<Method extends keyof DeliveryStore> = ReturnType<Required<DeliveryStore>[Method]>;

/** A store in memory, of which a test replaces methods. */
export class DelegatingStore implements DeliveryStore {
  protected readonly memory = new MemoryDeliveryStore();

  claim(...all: Arguments<'claim'>): Answer<'claim'> {
    return this.memory.claim(...all);
  }

  setHandled(...all: Arguments<'setHandled'>): Answer<'setHandled'> {
    return this.memory.setHandled(...all);
  }

  readQueue(...all: Arguments<'readQueue'>): Answer<'readQueue'> {
    return this.memory.readQueue(...all);
  }

  writeQueue(...all: Arguments<'writeQueue'>): Answer<'writeQueue'> {
    return this.memory.writeQueue(...all);
  }

  dueQueues(...all: Arguments<'dueQueues'>): Answer<'dueQueues'> {
    return this.memory.dueQueues(...all);
  }

  writeMessage(...all: Arguments<'writeMessage'>): Answer<'writeMessage'> {
    return this.memory.writeMessage(...all);
  }

  readMessage(...all: Arguments<'readMessage'>): Answer<'readMessage'> {
    return this.memory.readMessage(...all);
  }

  removeMessages(...all: Arguments<'removeMessages'>): Answer<'removeMessages'> {
    return this.memory.removeMessages(...all);
  }
}
