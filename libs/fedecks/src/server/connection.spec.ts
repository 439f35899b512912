import { PassThrough } from 'node:stream';
import { Router, turns } from '../handlers/index.js';
import { encodeTerm } from '../wire/index.js';
import { Connection, type Endpoint } from './connection.js';
import { resolveOptions } from './fedecks-options.js';
import { Telemetry } from './telemetry.js';

/** An unfragmented binary message, masked with zeros. */
function message(text: string): Buffer {
  const payload = encodeTerm(text);
  return Buffer.concat([Buffer.from([0x82, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('fair scheduling of connections', () => {
  /** The devices of handled messages, in order. */
  let handled: string[];
  let sockets: PassThrough[];
  beforeEach(async () => {
    handled = [];
    sockets = [];
    // The turn of the previous test must be over.
    await turn();
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
  });

  function open(id: string, onMessage: () => void = () => undefined): Connection {
    const log = handled;
    const endpoint: Endpoint = {
      options: resolveOptions({
        secrets: ['a secret of thirty-two bytes, or more'],
        authenticator: { authenticate: () => true },
      }),
      router: new Router([]),
      telemetry: new Telemetry('/fedecks', { debug: () => undefined, error: () => undefined }, () => false),
      decoding: {},
      tokenFrame: () => Buffer.alloc(0),
      report: () => undefined,
      received: () => {
        log.push(id);
        onMessage();
      },
      ended: () => undefined,
    };
    const socket = new PassThrough();
    sockets.push(socket);
    const device = { id, remoteAddress: '', claims: undefined, endpoint: '/fedecks', since: 0 };
    const connection = new Connection(device, socket, endpoint, { generation: 0, expiresAt: 0 }, 0);
    connection.start(Buffer.alloc(0));
    return connection;
  }

  it('handles a message at once, unless the event loop turn is used up', async () => {
    const device = open('device');
    device.onData(message('a'));
    expect(handled).toHaveLength(1);
    await turn();
    // Marks the turn as used up.
    turns.isUsed(performance.now() - 1_000);
    device.onData(message('b'));
    expect(handled).toHaveLength(1);
    await turn();
    expect(handled).toHaveLength(2);
  });

  it('prefers a device with few unread bytes', async () => {
    const flood = open('flood');
    const small = open('small');
    turns.isUsed(performance.now() - 1_000);
    flood.onData(Buffer.concat(Array.from({ length: 600 }, () => message('one of many'))));
    small.onData(message('one'));
    await turn();
    expect(handled[0]).toBe('small');
    expect(handled).toContain('flood');
  });

  it('prefers a device that has not used up its slice', async () => {
    const slow = open('slow', () => {
      const until = performance.now() + 1;
      while (performance.now() < until);
    });
    const small = open('small');
    slow.onData(Buffer.concat(Array.from({ length: 16 }, () => message('slow'))));
    const before = handled.length;
    expect(before).toBeLessThan(16);
    small.onData(message('one'));
    expect(handled).toHaveLength(before);
    await turn();
    expect(handled[before]).toBe('small');
    expect(handled[before + 1]).toBe('slow');
  });
});
