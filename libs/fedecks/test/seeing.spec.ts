/** Observability of an endpoint: debug lines, diagnostics channels, and metrics. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Injectable } from '@nestjs/common';
import { FEDECKS_METRICS, type MetricLabels, type MetricsRecorder, OnMessage, Payload } from '@fedecks/nest';
import { FakeDevice } from '@fedecks/nest/testing';
import { type Term } from '@fedecks/nest/wire';
import { type StartedApp, startApp, type TestApp } from './support/app.js';
import { Inbox } from './support/inbox.js';

const SECRET = 'hunter2';

@Injectable()
class Greenhouse {
  @OnMessage('temperature')
  async record(@Payload() payload: Term): Promise<Term> {
    await new Promise((resolve) => setImmediate(resolve));
    return { event: 'noted', data: payload };
  }

  @OnMessage('plain')
  plain(@Payload() payload: Term): Term {
    return payload;
  }
}

/** The app's metrics recorder. */
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

async function waitUntil(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

async function taken<Item>(inbox: Inbox<Item>, count: number): Promise<Item[]> {
  const items: Item[] = [];
  while (items.length < count) items.push(await inbox.next());
  return items;
}

describe('debug log', () => {
  it('logs upgrade, route, reply, push and close, with sizes and no payload', async () => {
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

  it('logs only the size of tokens, and rejected upgrades', async () => {
    await start();
    const device = await app.device('nerves-242a');
    await taken(lines, 2);
    await expect(
      FakeDevice.connect(app.nest, { id: 'nerves-242a', token: `${device.token}x` }),
    ).rejects.toMatchObject({ status: 403 });
    await expect(lines.next()).resolves.toBe('device "nerves-242a": upgrade from 127.0.0.1: HTTP status 403');
  });

  it('is limited to 200 lines, because Nest enables debug by default', async () => {
    await start();
    const device = await app.device();
    for (let i = 0; i < 150; i++) device.send('plain', i);
    for (let i = 0; i < 150; i++) await device.next();
    expect(lines.size).toBe(200);
  });
});

describe('diagnostics channels', () => {
  it('publish each step, with sizes and no payload', async () => {
    const names = ['upgrade', 'connected', 'received', 'handled', 'sent', 'disconnected'] as const;
    const inboxes = Object.fromEntries(names.map((name) => [name, listen(`fedecks:${name}`)]));
    await start({}, 'none');
    await visit();
    const device: unknown = expect.objectContaining({ id: 'nerves-242a', endpoint: '/fedecks' });
    const connection: unknown = expect.any(Number);
    const expected = {
      upgrade: [{ endpoint: '/fedecks', deviceId: 'nerves-242a', remoteAddress: '127.0.0.1', status: 101 }],
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
      expect(JSON.stringify(messages)).not.toContain(SECRET);
    }
  });

  it('publish the errors that @OnSocketError gets', async () => {
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
  it('use the declared names and labels only, and no label values of devices', async () => {
    await start({ options: { metrics: Recorder }, providers: [Recorder] }, 'none');
    await visit();
    const device = await app.device('other');
    device.send('event-of-the-device', SECRET);
    await app.errors.next();
    await device.disconnect();
    const { counts, observed } = app.nest.get(Recorder);
    await waitUntil(
      () =>
        counts.get(
          'fedecks_connections_closed_total {"endpoint":"/fedecks","cause":"closed_by_device","code":"1000"}',
        ) === 2,
    );
    expect(Object.fromEntries(counts)).toMatchObject({
      'fedecks_upgrades_total {"endpoint":"/fedecks","status":"101"}': 2,
      'fedecks_connections_opened_total {"endpoint":"/fedecks"}': 2,
      'fedecks_connections_closed_total {"endpoint":"/fedecks","cause":"closed_by_device","code":"1000"}': 2,
      'fedecks_messages_received_total {"endpoint":"/fedecks","handler":"Greenhouse.record"}': 1,
      'fedecks_messages_received_total {"endpoint":"/fedecks","handler":"none"}': 1,
      'fedecks_messages_sent_total {"endpoint":"/fedecks","kind":"reply"}': 1,
      'fedecks_messages_sent_total {"endpoint":"/fedecks","kind":"push"}': 1,
      'fedecks_errors_total {"endpoint":"/fedecks","type":"unhandled_message"}': 1,
    });
    expect(counts.get('fedecks_received_bytes_total {"endpoint":"/fedecks"}')).toBeGreaterThan(47);
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

  it('log once that the recorder fails, and keep serving devices', async () => {
    const fail = (): never => {
      throw new Error('the registry is gone');
    };
    errors.clear();
    await start({ options: { metrics: { count: fail, observe: fail } } });
    const device = await app.device();
    device.send('plain', 1);
    await expect(device.next()).resolves.toBe(1);
    await expect(errors.next()).resolves.toBe("The recorder of 'metrics' failed");
    expect(errors.size).toBe(0);
  });

  it('fail at start-up when the recorder is invalid', async () => {
    const started = startApp({ options: { metrics: {} as never } });
    await expect(started).rejects.toThrow("'metrics' must be a class or object with count(name, labels, by)");
    await start();
  });
});
