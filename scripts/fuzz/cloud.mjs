// A cloud in the fuzzer's thread, and raw connections to it.
import 'reflect-metadata';
import { connect } from 'node:net';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { authHeader } from './auth-text.mjs';
import { FedecksModule, OnMessage, OnRawMessage, Payload } from '../../libs/fedecks/dist/server/index.js';

/** A server that neither answers nor closes within this time has a fault. */
const DEADLINE_MS = 5_000;
const ECHO = Buffer.from('8368026d000000046563686f6103', 'hex');
/** The term 3 in a frame: the answer to the event `{"echo", 3}`. */
const ECHOED = Buffer.from('8203836103', 'hex');

class Handlers {
  echo(payload) {
    return payload;
  }
}
function decorate(decorator) {
  decorator(Handlers.prototype, 'echo', Object.getOwnPropertyDescriptor(Handlers.prototype, 'echo'));
}
decorate(OnMessage('echo'));
decorate(OnRawMessage());
Payload()(Handlers.prototype, 'echo', 0);

let app;
let port;

/** Starts the cloud, which accepts everybody without rate limits. */
export async function startCloud() {
  class App {}
  Module({
    imports: [
      FedecksModule.forRoot({
        secrets: ['a secret of thirty-two bytes, or more'],
        authenticator: { authenticate: ({ password }) => password === 'x' || password === undefined },
        upgradesPerSecond: 0,
        upgradesPerAddressPerMinute: 0,
        drainMs: 0,
      }),
    ],
    providers: [Handlers],
  })(App);
  app = await NestFactory.create(App, { logger: false });
  await app.listen(0, '127.0.0.1');
  ({ port } = app.getHttpServer().address());
}

export async function stopCloud() {
  await app.close();
}

/** The upgrade request of an accepted device. */
export function loginRequest(id) {
  const auth = authHeader({ 'fedecks-device-id': id });
  return Buffer.from(
    'GET /fedecks/websocket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
      `sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-fedecks-auth: ${auth}\r\n\r\n`,
  );
}

/**
 * Writes bytes and a FIN to a new connection, and waits until the server closes it.
 * @param parts the writes, in order; all but the first wait for the server's answer.
 * @returns the bytes from the server.
 * @throws {Error} if the server does not close the connection.
 */
export function converse(parts) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const received = [];
    const rest = [...parts];
    const writeNext = () => {
      const part = rest.shift();
      if (rest.length > 0) socket.write(part);
      else socket.end(part);
    };
    const deadline = setTimeout(() => {
      socket.destroy();
      reject(new Error('the server does not end a connection'));
    }, DEADLINE_MS);
    socket.on('data', (bytes) => {
      received.push(bytes);
      if (rest.length > 0) writeNext();
    });
    // A server may reset the connection after invalid input.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(deadline);
      resolve(Buffer.concat(received));
    });
    writeNext();
  });
}

/** A well-behaved device, which expects an answer in time. */
export class HonestDevice {
  static async connect() {
    const device = new HonestDevice();
    await device.upgrade();
    return device;
  }

  async upgrade() {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('error', () => undefined);
    this.socket.write(loginRequest('honest'));
    await this.expect(Buffer.from('101 Switching Protocols'));
  }

  /** @throws {Error} if its message is not echoed. */
  async echo() {
    // The zero mask leaves the payload unchanged.
    this.socket.write(Buffer.concat([Buffer.from([0x82, 0x80 | ECHO.length, 0, 0, 0, 0]), ECHO]));
    await this.expect(ECHOED);
  }

  end() {
    this.socket.destroy();
  }

  expect(bytes) {
    return new Promise((resolve, reject) => {
      const stop = (settle, value) => {
        clearTimeout(deadline);
        this.socket.off('data', onData);
        settle(value);
      };
      const onData = (data) => data.includes(bytes) && stop(resolve);
      const deadline = setTimeout(
        () => stop(reject, new Error('an honest device gets no answer')),
        DEADLINE_MS,
      );
      this.socket.on('data', onData);
    });
  }
}
