// The cloud half, as an app uses it: a plain handler that answers with what it received.
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Fedecks, FedecksModule, OnMessage, Payload } from '../libs/fedecks/dist/server/index.js';
import { serve } from './server.mjs';

class Echo {
  any(message) {
    return message;
  }

  /** Of an event, which is a pair: what a route by name is given. */
  data(message) {
    return message[1];
  }

  named(data) {
    return data;
  }
}

/** One handler: of all messages, of all that answers an event with its data, or of the event `echo`. */
const HANDLERS = { any: OnMessage(), data: OnMessage(), named: OnMessage('echo') };
const mode = process.argv[3];
HANDLERS[mode](Echo.prototype, mode, Object.getOwnPropertyDescriptor(Echo.prototype, mode));
Payload()(Echo.prototype, mode, 0);

class App {}
Module({
  imports: [
    FedecksModule.forRoot({
      secrets: ['a secret of thirty-two bytes, or more'],
      authenticator: { authenticate: () => true },
      // The load is one machine's, and faster than any device.
      messagesPerSecond: 0,
      upgradesPerSecond: 0,
      upgradesPerAddressPerMinute: 0,
    }),
  ],
  providers: [Echo],
})(App);

const app = await NestFactory.create(App, { logger: ['error', 'warn'] });
await app.listen(0, '127.0.0.1');
const fedecks = app.get(Fedecks);
serve(
  app.getHttpServer().address().port,
  (message) => Promise.all(fedecks.devices().map(({ id }) => fedecks.push(id, message))),
  (message) => fedecks.broadcast(message),
);
