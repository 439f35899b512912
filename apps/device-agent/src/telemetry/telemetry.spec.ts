import { jest } from '@jest/globals';
import { type ClientEvent, type OutboxDetails, OutboxStoreError } from '@fedecks/nest/client';
import { type Term } from '@fedecks/nest/wire';
import { of, Subject, type Subscription } from 'rxjs';
import { type Telemetry } from './collector.js';
import { TelemetryFeed } from './telemetry.js';
import { TelemetryOutbox } from './telemetry-outbox.js';

const INTERVAL_MS = 60_000;
const NO_LOSSES = { full: 0, expired: 0, rejected: 0, replaced: 0, failed: 0, damaged: 0 };

/** A client whose connection and outbox the test sets. */
class Client {
  readonly events$ = new Subject<ClientEvent>();
  state: OutboxDetails['state'] = 'offline';
  keeping: () => Promise<void> = () => Promise.resolve();
  readonly delivered: { readonly reading: unknown; readonly key: string | undefined }[] = [];

  get outbox(): OutboxDetails {
    return { size: 0, bytes: 0, state: this.state, losses: NO_LOSSES };
  }

  async deliver(_event: unknown, reading: unknown, options?: { readonly key?: string }) {
    await this.keeping();
    this.delivered.push({ reading, key: options?.key });
    return { id: '', done: Promise.resolve('handled' as const) };
  }
}

let client: Client;
let celsius: number;
let feed: TelemetryFeed;
let sent: Term[];
let connection: Subscription | undefined;

beforeEach(() => {
  jest.useFakeTimers();
  client = new Client();
  celsius = 20;
  sent = [];
  const collect = async (): Promise<Telemetry> => ({ temperatureCelsius: celsius });
  feed = new TelemetryFeed({ collect }, of(INTERVAL_MS), new TelemetryOutbox(client));
  feed.onModuleInit();
});
afterEach(() => {
  connection?.unsubscribe();
  client.events$.next({ type: 'stopped' });
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

/** As the module of the client does it. */
function connect(state: OutboxDetails['state'] = 'flowing'): void {
  client.state = state;
  client.events$.next({ type: 'connected' });
  connection = feed.feed().subscribe((message) => sent.push(message));
}

function disconnect(): void {
  connection?.unsubscribe();
  client.state = 'offline';
  client.events$.next({ type: 'connection_scheduled', delayMs: 1, cause: 'connection_lost' });
}

async function pass(ms: number): Promise<void> {
  await jest.advanceTimersByTimeAsync(ms);
}

function keys(): (string | undefined)[] {
  return client.delivered.map(({ key }) => key);
}

it('delivers a reading when it connects, and one at each interval, and sends none', async () => {
  connect();
  await pass(3 * INTERVAL_MS);
  expect(client.delivered).toHaveLength(4);
  expect(new Set(keys()).size).toBe(4);
  expect(sent).toEqual([]);
});

it('goes on at the same interval while there is no connection', async () => {
  connect();
  await pass(INTERVAL_MS / 2);
  disconnect();
  await pass(INTERVAL_MS / 2 - 20_000);
  expect(client.delivered).toHaveLength(1);
  await pass(20_000);
  expect(client.delivered).toHaveLength(2);
  await pass(10 * INTERVAL_MS);
  expect(client.delivered).toHaveLength(12);
  expect(new Set(keys()).size).toBe(12);
});

it('gives notable changes within an interval the key of that interval', async () => {
  await pass(INTERVAL_MS);
  const before = client.delivered.length;
  for (let change = 0; change < 12; change++) {
    celsius += 10;
    await pass(10_000);
  }
  expect(client.delivered).toHaveLength(before + 12);
  expect(new Set(keys().slice(before)).size).toBeLessThanOrEqual(3);
});

it('sends readings to a cloud that takes no deliveries, and keeps none in its outages', async () => {
  connect('not_supported');
  await pass(INTERVAL_MS);
  disconnect();
  await pass(5 * INTERVAL_MS);
  expect(sent).toHaveLength(2);
  expect(client.delivered).toEqual([]);
  connect('waiting');
  await pass(0);
  expect(client.delivered).toHaveLength(1);
});

it('sends readings when the outbox refuses them', async () => {
  client.keeping = () => Promise.reject(new OutboxStoreError('outbox-write-failed', 'no space'));
  connect('failed');
  await pass(INTERVAL_MS);
  expect(sent).toHaveLength(2);
});

it('sends readings while the outbox hangs, and gives it one at a time', async () => {
  let calls = 0;
  client.keeping = () => {
    calls++;
    return new Promise(() => undefined);
  };
  connect();
  await pass(3 * INTERVAL_MS + 1_000);
  expect(calls).toBe(1);
  expect(sent).toHaveLength(3);
});

it('keeps a reading that comes while the one before is being kept', async () => {
  client.keeping = () => new Promise((resolve) => setTimeout(resolve, 900));
  await pass(10_000);
  expect(client.delivered).toEqual([]);
  connect();
  await pass(2_000);
  expect(client.delivered).toHaveLength(2);
  expect(sent).toEqual([]);
});

it('measures nothing when the client has stopped', async () => {
  client.events$.next({ type: 'stopped' });
  await pass(10 * INTERVAL_MS);
  expect(client.delivered).toEqual([]);
});
