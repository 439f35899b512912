/** What whoever looks on sees of an endpoint's work: lines of level debug, channels of Node, and figures. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { type AddressInfo, type Server } from 'node:net';
import { inspect } from 'node:util';
import { BadRequestException, Injectable, ServiceUnavailableException, ValidationPipe } from '@nestjs/common';
import { FEDECKS_METRICS, type MetricLabels, type MetricsRecorder, OnMessage, Payload } from '@fedecks/nest';
import { FakeDevice } from '@fedecks/nest/testing';
import { type Term } from '@fedecks/nest/wire';
import { encodeAuthHeader } from '../src/wire/internal.js';
import { type StartedApp, startApp, type TestApp } from './support/app.js';
import { IsIn } from 'class-validator';
import { eventually } from './support/eventually.js';
import { Inbox } from './support/inbox.js';
import { RawPeer, upgradeRequest } from './support/raw-peer.js';

const SECRET = 'hunter2';
/** How long the handler of a temperature takes, at least. */
const HANDLER_MS = 30;

@Injectable()
class Greenhouse {
  @OnMessage('temperature')
  async record(@Payload() payload: Term): Promise<Term> {
    await new Promise((resolve) => setTimeout(resolve, HANDLER_MS));
    return { event: 'noted', data: payload };
  }

  @OnMessage('plain')
  plain(@Payload() payload: Term): Term {
    return payload;
  }

  @OnMessage('burn')
  burn(@Payload() payload: Term): never {
    throw new Error(`on fire: ${JSON.stringify(payload)}`);
  }

  @OnMessage('stream')
  *stream(): Generator<Term> {
    yield 'first';
    throw new Error('on fire');
  }
}

/** What the app gives where figures go. */
@Injectable()
class Recorder implements MetricsRecorder {
  readonly counts = new Map<string, number>();
  readonly observed: [string, MetricLabels, number][] = [];

  count(name: string, labels: MetricLabels, by: number): void {
    const key = `${name} ${JSON.stringify(labels)}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + by);
  }

  observe(name: string, labels: MetricLabels, value: number): void {
    this.observed.push([name, labels, value]);
  }
}

let app: StartedApp;
const lines = new Inbox<string>('line of level debug');
const errors = new Inbox<string>('line of level error');
const opened: [string, (message: unknown) => void][] = [];

beforeEach(() => lines.clear());
afterEach(async () => {
  for (const [name, listener] of opened.splice(0)) unsubscribe(name, listener);
  await app.close();
});

async function start(given: TestApp = {}, levels: 'all' | 'none' = 'all'): Promise<void> {
  app = await startApp({
    ...given,
    providers: [Greenhouse, ...(given.providers ?? [])],
    setUp: (nest) => {
      if (levels === 'none') return;
      nest.useLogger({
        log: () => undefined,
        warn: () => undefined,
        error: (line: unknown) => errors.put(String(line)),
        debug: (line: unknown) => lines.put(String(line)),
      });
    },
  });
}

function listen(name: string): Inbox<Record<string, unknown>> {
  const inbox = new Inbox<Record<string, unknown>>(`message of ${name}`);
  const listener = (message: unknown): void => inbox.put(message as Record<string, unknown>);
  subscribe(name, listener);
  opened.push([name, listener]);
  return inbox;
}

async function visit(): Promise<FakeDevice> {
  const device = await FakeDevice.connect(app.nest, { id: 'nerves-242a', credentials: { password: SECRET } });
  device.send('temperature', { secret: SECRET });
  await device.next();
  await app.fedecks.push(device.id, { event: 'fan', data: SECRET });
  await device.next();
  await device.disconnect();
  return device;
}

/** A device that has had an answer, and is still there. */
async function visitOnce(): Promise<FakeDevice> {
  const device = await app.device();
  device.send('plain', 1);
  await device.next();
  return device;
}

function rawPeer(): Promise<RawPeer> {
  const { port } = (app.nest.getHttpServer() as Server).address() as AddressInfo;
  return RawPeer.connect(port);
}

function authOf(id: string): Record<string, string> {
  return { 'x-fedecks-auth': encodeAuthHeader({ 'fedecks-device-id': id }) };
}

async function until(condition: () => boolean): Promise<void> {
  await eventually(condition, (met) => met, 3_000);
}

async function taken<Item>(inbox: Inbox<Item>, count: number): Promise<Item[]> {
  const items: Item[] = [];
  while (items.length < count) items.push(await inbox.next());
  return items;
}

describe('the level debug', () => {
  it('shows upgrade, route, reply, push and close, with sizes and no payload', async () => {
    await start();
    await visit();
    const shown = (await taken(lines, 6)).map((line) => line.replace(/connection \d+/, 'connection N'));
    expect(shown).toEqual([
      'device "nerves-242a": upgrade from 127.0.0.1: HTTP status 101',
      expect.stringMatching(/^device "nerves-242a", connection N: token, \d+ bytes$/),
      'device "nerves-242a", connection N: received event "temperature", 47 bytes, for Greenhouse.record',
      expect.stringMatching(/^device "nerves-242a", connection N: reply event "noted", \d+ bytes$/),
      expect.stringMatching(/^device "nerves-242a", connection N: push, \d+ bytes$/),
      'device "nerves-242a", connection N: closed with 1000: closed_by_device',
    ]);
    expect(shown.join('\n')).not.toContain(SECRET);
  });

  it('shows tokens by their size only, and upgrades that are refused', async () => {
    await start();
    const device = await app.device('nerves-242a');
    await taken(lines, 2);
    await expect(
      FakeDevice.connect(app.nest, { id: 'nerves-242a', token: `${device.token}x` }),
    ).rejects.toMatchObject({ status: 403 });
    await expect(lines.next()).resolves.toBe('device "nerves-242a": upgrade from 127.0.0.1: HTTP status 403');
  });

  it('is bounded: Nest has it on where nobody has chosen levels', async () => {
    await start();
    const device = await app.device();
    for (let i = 0; i < 150; i++) device.send('plain', i);
    for (let i = 0; i < 150; i++) await device.next();
    expect(lines.size).toBe(200);
  });
});

describe('channels', () => {
  it('are those of the documentation, with their fields', async () => {
    const page = readFileSync(new URL('../docs/how-to/see-what-happens.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| `(fedecks:[\w:]+)` +\| (.*) +\|$/gm)];
    const documented = rows.map(([, name = '', fields = '']) => {
      const words = [...fields.replace(/\(.*?\)|as in .*|and what .*/g, '').matchAll(/`(\w+)`/g)];
      return [name, words.map(([, word]) => word)] as const;
    });
    expect(documented.map(([name]) => name).sort()).toEqual(
      ['telemetry.ts', '../client/trace.ts']
        .map((file) => readFileSync(new URL(`../src/server/${file}`, import.meta.url), 'utf8'))
        .flatMap((source) => [...source.matchAll(/channel\('(.*?)'\)/g)].map(([, name]) => name))
        .sort(),
    );
    const ofCloud = documented.filter(([name]) => !name.startsWith('fedecks:client:'));
    const inboxes = ofCloud.map(([name, fields]) => [name, fields, listen(name)] as const);
    await start({}, 'none');
    const device = await visitOnce();
    device.send('nobody', 1);
    await device.disconnect();
    for (const [name, fields, inbox] of inboxes) {
      const seen = Object.keys(await inbox.next());
      // Of an error there is more: it is what @OnSocketError receives.
      expect([name, seen.slice(0, name === 'fedecks:error' ? 1 : seen.length)]).toEqual([name, fields]);
    }
  });

  it.each(['upgrade', 'connected'])(
    'may have a subscriber that revokes, disconnects or pushes from inside: %s',
    async (name) => {
      await start({}, 'none');
      const calls: [string, Promise<unknown>][] = [];
      const order: string[] = [];
      app.fedecks.connections$.subscribe(({ type }) => order.push(type));
      const act = (id: string): void => {
        calls.push(['push', app.fedecks.push(id, 'hello')]);
        if (id === 'gone') calls.push(['disconnect', app.fedecks.disconnect(id)]);
        if (id === 'revoked') calls.push(['revoke', app.fedecks.revoke(id)]);
      };
      const listener = (message: unknown): void => {
        const { deviceId, device } = message as { deviceId?: string; device?: { id: string } };
        act(deviceId ?? device!.id);
      };
      subscribe(`fedecks:${name}`, listener);
      opened.push([`fedecks:${name}`, listener]);
      for (const [id, code] of [
        ['gone', 1000],
        ['revoked', 4150],
      ] as const) {
        const device = await FakeDevice.connect(app.nest, { id });
        await expect(device.closed).resolves.toMatchObject({ code });
      }
      const greeted = await FakeDevice.connect(app.nest, { id: 'greeted' });
      await expect(greeted.next()).resolves.toBe('hello');
      const results = await Promise.all(calls.map(async ([what, result]) => [what, await result]));
      expect(results.filter(([what]) => what === 'disconnect')).toEqual([['disconnect', true]]);
      expect(results.at(-1)).toEqual(['push', 'sent']);
      expect(app.fedecks.devices()).toHaveLength(1);
      expect(order).toEqual(['connected', 'disconnected', 'connected', 'disconnected', 'connected']);
    },
  );

  it('may have a subscriber that revokes a device while a connection of it replaces another', async () => {
    await start({}, 'none');
    const listener = (message: unknown): void =>
      void app.fedecks.revoke((message as { device: { id: string } }).device.id);
    const first = await app.device('twice');
    subscribe('fedecks:disconnected', listener);
    opened.push(['fedecks:disconnected', listener]);
    const second = await FakeDevice.connect(app.nest, { id: 'twice', token: first.token });
    await expect(second.closed).resolves.toMatchObject({ code: 4150 });
  });

  it('cut the names of events', async () => {
    const received = listen('fedecks:received');
    await start({}, 'none');
    (await app.device()).send('x'.repeat(1_000), 1);
    await expect(received.next()).resolves.toMatchObject({ event: 'x'.repeat(64) });
  });

  it('tell the end of a connection when it is over, as connections$ does', async () => {
    const seen: unknown[] = [];
    const listener = (): void => void seen.push(app.fedecks.devices().length);
    subscribe('fedecks:disconnected', listener);
    opened.push(['fedecks:disconnected', listener]);
    await start({}, 'none');
    await (await app.device()).disconnect();
    await until(() => seen.length > 0);
    expect(seen).toEqual([0]);
  });

  it('tell of a connection before they tell of its end, to each who observes connections', async () => {
    await start({}, 'none');
    const order: string[] = [];
    app.fedecks.connections$.subscribe(({ type, device }) => {
      if (type === 'connected') void app.fedecks.disconnect(device.id);
    });
    app.fedecks.connections$.subscribe(({ type }) => order.push(type));
    const device = await app.device().catch(() => undefined);
    await device?.closed;
    await until(() => order.length === 2);
    expect(order).toEqual(['connected', 'disconnected']);
  });

  it('tell of what is sent when it is on its way, and of nothing that is not', async () => {
    await start({}, 'none');
    const device = await app.device();
    const sent = listen('fedecks:sent');
    const listener = (message: unknown): void => {
      if ((message as { kind: string }).kind === 'reply') void app.fedecks.push(device.id, 'from inside');
    };
    subscribe('fedecks:sent', listener);
    opened.push(['fedecks:sent', listener]);
    device.send('plain', 'a reply');
    await expect(device.next()).resolves.toBe('a reply');
    await expect(device.next()).resolves.toBe('from inside');
    await taken(sent, 2);
    // Larger than may wait, after what waits already because the device does not read.
    const peer = await rawPeer();
    peer.write(upgradeRequest({ headers: authOf('deaf') }));
    await peer.response();
    const held = app.fedecks.push('deaf', 'held');
    await expect(app.fedecks.push('deaf', 'x'.repeat(2_000_000))).resolves.toBe('offline');
    await expect(held).resolves.toBe('sent');
    await expect(sent.next()).resolves.toMatchObject({ kind: 'push', bytes: 10 });
    expect(sent.size).toBe(0);
    peer.destroy();
  });

  it('tell of an upgrade whose peer goes before the answer', async () => {
    const inbox = listen('fedecks:upgrade');
    const asked = new Inbox<void>('login');
    const authenticate = async (): Promise<boolean> => {
      asked.put();
      return new Promise(() => undefined);
    };
    await start({ options: { authenticator: { authenticate } } }, 'none');
    const peer = await rawPeer();
    peer.write(upgradeRequest({ headers: authOf('impatient') }));
    await asked.next();
    peer.reset();
    await expect(inbox.next()).resolves.toEqual({
      endpoint: '/fedecks',
      deviceId: 'impatient',
      remoteAddress: '127.0.0.1',
      status: undefined,
      presented: 'credentials',
    });
    expect(inbox.size).toBe(0);
  });

  it('tell of each step, with sizes and no payload', async () => {
    const names = ['upgrade', 'connected', 'received', 'handled', 'sent', 'disconnected'] as const;
    const inboxes = Object.fromEntries(names.map((name) => [name, listen(`fedecks:${name}`)]));
    await start({}, 'none');
    await visit();
    const device: unknown = expect.objectContaining({ id: 'nerves-242a', endpoint: '/fedecks' });
    const connection: unknown = expect.any(Number);
    const expected = {
      upgrade: [
        {
          endpoint: '/fedecks',
          deviceId: 'nerves-242a',
          remoteAddress: '127.0.0.1',
          status: 101,
          presented: 'credentials',
        },
      ],
      connected: [{ device, connection }],
      received: [{ device, connection, event: 'temperature', bytes: 47, handler: 'Greenhouse.record' }],
      handled: [
        { device, connection, handler: 'Greenhouse.record', durationMs: expect.any(Number) as unknown },
      ],
      sent: [
        { device, connection, kind: 'token', event: undefined, bytes: expect.any(Number) as unknown },
        { device, connection, kind: 'reply', event: 'noted', bytes: expect.any(Number) as unknown },
        { device, connection, kind: 'push', event: undefined, bytes: expect.any(Number) as unknown },
      ],
      disconnected: [{ device, connection, cause: { type: 'closed_by_device', code: 1000 } }],
    };
    for (const name of names) {
      const messages = await taken(inboxes[name]!, expected[name].length);
      expect(messages).toEqual(expected[name]);
      if (name === 'handled') expect(messages[0]!['durationMs']).toBeGreaterThanOrEqual(HANDLER_MS - 2);
      expect(JSON.stringify(messages)).not.toContain(SECRET);
    }
  });

  it('tell of errors as @OnSocketError does', async () => {
    const inbox = listen('fedecks:error');
    await start({}, 'none');
    const device = await app.device();
    device.send('unheard of', SECRET);
    await expect(inbox.next()).resolves.toMatchObject({
      endpoint: '/fedecks',
      deviceId: device.id,
      type: 'unhandled_message',
    });
  });
});

describe('metrics', () => {
  it('count what happens, under the names and labels that are declared, and none that a device chooses', async () => {
    await start({ options: { metrics: Recorder }, providers: [Recorder] }, 'none');
    await visit();
    const device = await app.device('other');
    device.send('event-of-the-device', SECRET);
    await app.errors.next();
    await device.disconnect();
    const { counts, observed } = app.nest.get(Recorder);
    await until(
      () =>
        counts.get(
          'fedecks_connections_closed_total {"endpoint":"/fedecks","cause":"closed_by_device","code":"1000"}',
        ) === 2,
    );
    expect(Object.fromEntries(counts)).toMatchObject({
      'fedecks_upgrades_total {"endpoint":"/fedecks","status":"101","presented":"credentials"}': 2,
      'fedecks_connections_opened_total {"endpoint":"/fedecks"}': 2,
      'fedecks_connections_closed_total {"endpoint":"/fedecks","cause":"closed_by_device","code":"1000"}': 2,
      'fedecks_messages_received_total {"endpoint":"/fedecks","handler":"Greenhouse.record"}': 1,
      'fedecks_messages_received_total {"endpoint":"/fedecks","handler":"none"}': 1,
      'fedecks_messages_sent_total {"endpoint":"/fedecks","kind":"reply"}': 1,
      'fedecks_messages_sent_total {"endpoint":"/fedecks","kind":"push"}': 1,
      'fedecks_errors_total {"endpoint":"/fedecks","type":"unhandled_message"}': 1,
    });
    expect(counts.get('fedecks_received_bytes_total {"endpoint":"/fedecks"}')).toBeGreaterThan(47);
    expect(counts.get('fedecks_sent_bytes_total {"endpoint":"/fedecks"}')).toBeGreaterThan(100);
    expect(observed[0]![2]).toBeGreaterThanOrEqual((HANDLER_MS - 2) / 1_000);
    expect(observed[0]![2]).toBeLessThan(HANDLER_MS / 2);
    expect(observed).toEqual([
      ['fedecks_handler_seconds', { endpoint: '/fedecks', handler: 'Greenhouse.record' }, expect.any(Number)],
    ]);
    const used = [...counts.keys()]
      .map((key) => key.split(/ (.*)/))
      .concat(observed.map(([name, labels]) => [name, JSON.stringify(labels)]));
    for (const [name, labels] of used) {
      const declared = FEDECKS_METRICS.find((each) => each.name === name);
      expect(Object.keys(JSON.parse(labels!) as object)).toEqual(declared?.labels);
    }
    expect(JSON.stringify(used)).not.toMatch(/event-of-the-device|hunter2/);
  });

  it('may fail: that is logged once, and devices are served', async () => {
    const fail = (): never => {
      throw new Error('the registry is gone');
    };
    errors.clear();
    await start({ options: { metrics: { count: fail, observe: fail } } });
    const device = await app.device();
    device.send('plain', 1);
    await expect(device.next()).resolves.toBe(1);
    await expect(errors.next()).resolves.toBe('The metrics recorder failed');
    expect(errors.size).toBe(0);
  });

  it('may fail later: an async method that rejects does not end the process', async () => {
    const fail = (): PromiseLike<never> => ({
      // Not a promise: of one that nobody sees to, only the process itself is told.
      then: (_resolved, rejected) => rejected!(new Error('the registry is gone')) as never,
    });
    errors.clear();
    await start({ options: { metrics: { count: fail, observe: fail } as never } });
    await visitOnce();
    await expect(errors.next()).resolves.toBe('The metrics recorder failed');
    expect(errors.size).toBe(0);
  });

  it.each([{}, { count: () => undefined }, { observe: () => undefined }])(
    'are refused at start if they cannot be recorded: %j',
    async (metrics) => {
      const started = startApp({ options: { metrics: metrics as never } });
      await expect(started).rejects.toThrow(
        "'metrics' must be a class or object with count(name, labels, by) and observe(name, labels, value).",
      );
      await start();
    },
  );

  it('balance: what was opened was closed, after a takeover, a kill, a revocation, a refusal and a shutdown', async () => {
    await start({ options: { metrics: Recorder, drainMs: 0 }, providers: [Recorder] }, 'none');
    const { counts } = app.nest.get(Recorder);
    const total = (name: string): number =>
      [...counts].reduce((sum, [key, count]) => sum + (key.startsWith(`${name} `) ? count : 0), 0);
    const { token } = await app.device('taken over');
    await FakeDevice.connect(app.nest, { id: 'taken over', token });
    await app.device('killed');
    await app.device('revoked');
    await app.fedecks.disconnect('killed');
    await app.fedecks.revoke('revoked');
    await expect(app.device('refused', 'no token')).rejects.toMatchObject({ status: 403 });
    (await visitOnce()).send('burn', 1);
    await app.close();
    expect(total('fedecks_connections_opened_total')).toBe(5);
    expect(total('fedecks_connections_closed_total')).toBe(5);
    expect(total('fedecks_upgrades_total')).toBe(6);
    const refused = { endpoint: '/fedecks', status: '403', presented: 'invalid' };
    expect(counts.get(`fedecks_upgrades_total ${JSON.stringify(refused)}`)).toBe(1);
    const byToken = { endpoint: '/fedecks', status: '101', presented: 'token' };
    expect(counts.get(`fedecks_upgrades_total ${JSON.stringify(byToken)}`)).toBe(1);
    await start();
  });
});

describe('what is secret', () => {
  class Reading {
    @IsIn(['a', 'b'], { message: 'mode $value is none of these' })
    mode!: string;
  }

  @Injectable()
  class Strict {
    @OnMessage('checked')
    checked(@Payload(new ValidationPipe()) reading: Reading): Term {
      return reading.mode;
    }

    @OnMessage('quoted')
    quoted(
      @Payload({
        transform: (value: unknown) => {
          throw new BadRequestException(`cannot take ${JSON.stringify(value)} here`);
        },
      })
      value: Term,
    ): Term {
      return value;
    }

    @OnMessage('list')
    list(
      @Payload('names', {
        transform: ([first]: string[]) => {
          throw new BadRequestException(`no such name: ${first}`);
        },
      })
      names: Term,
    ): Term {
      return names;
    }
  }

  it('is in nothing that a pipe is said to have refused, and its handler and property are', async () => {
    await start({ providers: [Strict] }, 'none');
    const device = await app.device();
    const infoOf = async (event: string, payload: Term): Promise<string> => {
      device.send(event, payload);
      const { type, info } = await app.errors.next();
      expect(type).toBe('refused_by_pipe');
      return info;
    };
    await expect(infoOf('checked', { mode: SECRET })).resolves.toBe(
      'Strict.checked: mode (a value) is none of these',
    );
    await expect(
      infoOf('quoted', { pin: 47_110_815, inner: [SECRET, { key: SECRET + SECRET }, SECRET] }),
    ).resolves.toBe(
      'Strict.quoted: cannot take {"pin":(a value),"inner":["(a value)",{"key":"(a value)"},"(a value)"]} here',
    );
    // The property is named, whatever the device sends.
    await expect(infoOf('checked', { mode: 'mode' })).resolves.toBe(
      'Strict.checked: mode mode is none of these',
    );
    // What is cut, or is more than can be looked for, is not found: then nothing of the sentence is shown.
    for (const names of [
      [`${SECRET} `.repeat(1_000)],
      [SECRET, ...Array.from({ length: 20_000 }, (_, number) => number)],
    ])
      await expect(infoOf('list', { names })).resolves.toBe("Strict.list: property 'names': refused");
  });

  it('is in no report of an authenticator that fails, but in what it has thrown', async () => {
    const thrown: (() => Error)[] = [
      () => new Error(`LDAP does not know ${SECRET}`),
      () => new ServiceUnavailableException('too many logins'),
    ];
    await start({
      options: {
        authenticator: {
          authenticate: () => {
            throw thrown.shift()!();
          },
        },
      },
    });
    errors.clear();
    for (const info of ['Error', 'too many logins']) {
      await expect(app.device()).rejects.toMatchObject({ status: 503 });
      await expect(app.errors.next()).resolves.toMatchObject({ type: 'upgrade_failed', info });
    }
    await expect(errors.next()).resolves.toMatch(/^device "[^"]+": upgrade_failed: Error$/);
    expect(errors.size).toBe(0);
  });

  it('is not in what a log shows of Fedecks', async () => {
    await start({}, 'none');
    await visitOnce();
    for (const shown of [inspect(app.fedecks, { depth: Infinity }), JSON.stringify(app.fedecks)]) {
      expect(shown).toContain('/fedecks');
      expect(shown.length).toBeLessThan(100);
    }
  });
});
