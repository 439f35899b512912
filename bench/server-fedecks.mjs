// The server as an app uses it: a plain handler that echoes messages.
import { Fedecks, MemoryDeliveryStore, OnMessage, Payload } from '../libs/fedecks/dist/server/index.js';
import { createApp, decorate } from './app.mjs';
import { serve } from './server.mjs';

class Echo {
  any(message) {
    return message;
  }

  /** The data of an event, which is a pair of name and data. */
  data(message) {
    return message[1];
  }

  named(data) {
    return data;
  }
}

/** One handler: echo for all messages, the data of any event, or the event `echo`. */
const HANDLERS = { any: OnMessage(), data: OnMessage(), named: OnMessage('echo') };
const mode = process.argv[3];
decorate(Echo, mode, HANDLERS[mode]);
Payload()(Echo.prototype, mode, 0);

const options = {
  // Given, so that nothing is logged of what a restart forgets.
  deliveryStore: new MemoryDeliveryStore(),
  // All load comes from one address, and is faster than any device.
  messagesPerSecond: 0,
  upgradesPerSecond: 0,
  upgradesPerAddressPerMinute: 0,
};
const app = await createApp(options, { providers: [Echo] });
await app.listen(0, '127.0.0.1');
const fedecks = app.get(Fedecks);
serve(
  app.getHttpServer().address().port,
  (message) => Promise.all(fedecks.devices().map(({ id }) => fedecks.push(id, message))),
  (message) => fedecks.broadcast(message),
);
