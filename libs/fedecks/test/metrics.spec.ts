/** What a metrics recorder is told, apart from what `seeing.spec.ts` covers. */
import { type AddressInfo, type Server } from 'node:net';
import { Injectable } from '@nestjs/common';
import {
  Fedecks,
  FEDECKS_METRICS,
  type BackplaneEndpoint,
  type MetricLabels,
  type MetricsRecorder,
  OnMessage,
} from '@fedecks/nest';
import { type Term } from '@fedecks/nest/wire';
import { type StartedApp, startApp } from './support/app.js';
import { read } from './support/documents.js';
import { eventually } from './support/eventually.js';
import { InProcessBackplane } from '../src/server/backplane.js';
import { encodeAuthHeader } from '../src/wire/internal.js';
import { RawPeer, upgradeRequest } from './support/raw-peer.js';
import { int, str, term, tuple } from './support/term-bytes.js';

@Injectable()
class Recorder implements MetricsRecorder {
  readonly counts = new Map<string, number>();

  count(name: string, { endpoint: _endpoint, ...labels }: MetricLabels, by: number): void {
    const key = [name, ...Object.values(labels)].join(' ');
    this.counts.set(key, (this.counts.get(key) ?? 0) + by);
  }

  observe(): void {
    // Only counters are looked at here.
  }
}

@Injectable()
class Station {
  release: () => void = () => undefined;

  @OnMessage('echo')
  echo(): Term {
    return 'echo';
  }

  @OnMessage('fail')
  fail(): never {
    throw new Error('on fire');
  }

  @OnMessage('hold')
  hold(): Promise<void> {
    return new Promise((resolve) => (this.release = resolve));
  }

  @OnMessage('flood')
  *flood(): Generator<Term> {
    for (let value = 0; value < 600; value++) yield 'x'.repeat(60_000);
  }
}

let app: StartedApp;
let fedecks: Fedecks;
afterEach(() => app.close());

async function start(options: NonNullable<Parameters<typeof startApp>[0]['options']> = {}): Promise<void> {
  app = await startApp({ options: { metrics: Recorder, ...options }, providers: [Recorder, Station] });
  fedecks = app.fedecks;
}

/** The counters of one metric, by their labels other than the endpoint. */
function counters(name: string): Record<string, number> {
  const { counts } = app.nest.get(Recorder);
  const found = [...counts].filter(([key]) => key === name || key.startsWith(`${name} `));
  return Object.fromEntries(found.map(([key, count]) => [key.slice(name.length + 1), count]));
}

describe('metrics', () => {
  it('count pushes by result', async () => {
    await start();
    const device = await app.device();
    await fedecks.push(device.id, 'one');
    await fedecks.push(device.id, 'two');
    await fedecks.push('nobody', 'three');
    expect(counters('fedecks_pushes_total')).toEqual({ sent: 2, offline: 1 });
  });

  it('count a push as failed when the other nodes cannot be reached', async () => {
    class Unreachable extends InProcessBackplane {
      override push(): never {
        return Promise.reject(new Error('unreachable')) as never;
      }
    }
    await start({ backplane: (endpoint: BackplaneEndpoint) => new Unreachable(endpoint) });
    await expect(fedecks.push('elsewhere', 1)).rejects.toThrow('unreachable');
    expect(counters('fedecks_pushes_total')).toEqual({ failed: 1 });
  });

  it('count requests to devices by outcome', async () => {
    await start();
    const device = await app.device();
    const answered = fedecks.request(device.id, 'read', null);
    (await device.nextRequest()).reply(1);
    await answered;
    await expect(fedecks.request('nobody', 'read', null)).rejects.toMatchObject({ code: 'offline' });
    await expect(fedecks.request(device.id, 'read', null, { timeoutMs: 20 })).rejects.toMatchObject({
      code: 'timeout',
    });
    const signal = AbortSignal.timeout(20);
    await expect(fedecks.request(device.id, 'read', null, { signal })).rejects.toThrow();
    expect(counters('fedecks_requests_total')).toEqual({ answered: 1, offline: 1, timeout: 1, aborted: 1 });
  });

  it('count streams from devices by outcome', async () => {
    await start();
    const device = await app.device();
    const values: Term[] = [];
    const completed = new Promise<void>((complete) =>
      fedecks.stream(device.id, 'read', null).subscribe({ next: (value) => values.push(value), complete }),
    );
    (await device.nextRequest()).reply(7);
    await completed;
    const given = fedecks.stream(device.id, 'read', null).subscribe();
    await device.nextRequest();
    given.unsubscribe();
    await new Promise<void>((failed) =>
      fedecks.stream('nobody', 'read', null).subscribe({ error: () => failed() }),
    );
    expect(values).toEqual([7]);
    expect(counters('fedecks_requests_total')).toEqual({ answered: 1, aborted: 1, offline: 1 });
  });

  it('count the requests of devices by outcome', async () => {
    await start();
    const device = await app.device();
    await device.request('echo', null);
    await expect(device.request('fail', null)).rejects.toMatchObject({ code: 'failed' });
    await expect(device.request('unheard of', null)).rejects.toMatchObject({ code: 'no_handler' });
    expect(counters('fedecks_device_requests_total')).toEqual({ answered: 1, failed: 1, no_handler: 1 });
  });

  it('count messages kept for devices by state', async () => {
    await start();
    const device = await app.device();
    const kept = await fedecks.deliver(device.id, 'update', null);
    (await device.nextDelivery()).handled();
    await kept.final;
    const cancelled = await fedecks.deliver('nobody', 'update', null);
    await fedecks.deliveries.cancel(cancelled.id);
    expect(counters('fedecks_deliveries_total')).toEqual({ queued: 2, sent: 1, done: 1, cancelled: 1 });
  });

  it('count the deliveries of devices by answer', async () => {
    await start();
    const device = await app.device();
    await device.deliver('echo', null);
    await device.deliver('fail', null);
    await device.deliver('unheard of', null);
    expect(counters('fedecks_device_deliveries_total')).toEqual({
      acknowledged: 1,
      failed: 1,
      no_handler: 1,
    });
  });

  it('count tokens by reason', async () => {
    await start({ tokenRefresh: '1s' });
    await app.device();
    await eventually(
      () => counters('fedecks_tokens_total'),
      ({ requested, refresh }) => requested === 1 && refresh !== undefined,
    );
  });

  it('count that a device is not read on, once for each full mailbox', async () => {
    await start({ mailboxLimit: 2 });
    const device = await app.device();
    device.send('hold', null);
    for (let sent = 0; sent < 20; sent++) device.send('echo', null);
    await eventually(
      () => counters('fedecks_mailbox_pauses_total'),
      (pauses) => pauses[''] === 1,
    );
    app.nest.get(Station).release();
    for (let received = 0; received < 20; received++) await device.next();
    expect(counters('fedecks_mailbox_pauses_total')['']).toBeLessThanOrEqual(10);
  });

  it('count that values wait for a device that does not read', async () => {
    await start();
    const { port } = (app.nest.getHttpServer() as Server).address() as AddressInfo;
    const peer = await RawPeer.connect(port);
    peer.write(
      upgradeRequest({ headers: { 'x-fedecks-auth': encodeAuthHeader({ 'fedecks-device-id': 'deaf' }) } }),
    );
    await peer.response();
    peer.pause();
    peer.sendBinary(term(tuple(str('flood'), int(0))));
    await eventually(
      () => counters('fedecks_send_buffer_pauses_total'),
      (pauses) => (pauses[''] ?? 0) >= 1,
    );
    peer.destroy();
  });

  it('count changes of health of the backplane', async () => {
    let endpoint!: BackplaneEndpoint;
    await start({
      backplane: (given: BackplaneEndpoint) => new InProcessBackplane((endpoint = given)),
    });
    endpoint.changed({ status: 'degraded', reason: 'no server' });
    endpoint.changed({ status: 'up' });
    expect(counters('fedecks_backplane_changes_total')).toEqual({ degraded: 1, up: 1 });
  });
});

it('are listed in the guide, with type, labels and meaning', async () => {
  await start();
  const rows = FEDECKS_METRICS.map(({ name, type, labels, help }) => {
    const own = labels.filter((label) => label !== 'endpoint').map((label) => `\`${label}\``);
    return [`\`${name}\``, type, own.join(', '), help];
  });
  const guide = read('libs/fedecks/docs/how-to/see-what-happens.md');
  const listed = [...guide.matchAll(/^\| `fedecks_.*$/gm)].map(([row]) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  expect(listed).toEqual(rows);
});
