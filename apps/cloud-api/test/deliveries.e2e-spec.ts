import { tuple } from '@fedecks/nest/wire';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { CloudApi } from './support/cloud-api.js';

let cloud: CloudApi;
/** Of a device that only this test has: nothing waits for it. */
let deviceId: string;
let tests = 0;
beforeAll(async () => (cloud = await CloudApi.start()));
beforeEach(async () => {
  deviceId = `greenhouse-${++tests}`;
  await cloud.writeLogins({ devices: [deviceId] });
});
afterEach(() => cloud.disconnectAll());
afterAll(() => cloud.close());

interface Shown {
  readonly id: string;
  readonly event: string;
  readonly state: string;
}

function deliver(body: object, id = deviceId) {
  const path = `/api/v1/devices/${encodeURIComponent(id)}/deliveries`;
  return cloud.http('POST', path, { body: JSON.stringify(body) });
}

/** Keeps a message, and returns the path of its delivery. */
async function delivered(body: object, id = deviceId): Promise<string> {
  const { status, location } = await deliver(body, id);
  expect(status).toBe(202);
  return location!;
}

async function stateOf(path: string): Promise<string> {
  const { body } = await cloud.http('GET', path);
  return (body as Shown).state;
}

/** Waits until a delivery is in this state: the store is a database. */
async function become(path: string, state: string): Promise<Shown> {
  const read = async (): Promise<Shown> => (await cloud.http('GET', path)).body as Shown;
  return eventually(read, (shown) => shown.state === state);
}

describe('the deliveries of cloud-api', () => {
  it('are kept for a device that is not connected, and done with what its handler returns', async () => {
    const before = Date.now();
    const answer = await deliver({ event: 'update', payload: { version: 7 }, key: 'update', lane: 'a' });
    expect(answer).toMatchObject({
      status: 202,
      body: {
        deviceId,
        event: 'update',
        key: 'update',
        state: 'queued',
        attempts: 0,
        isCancelled: false,
      },
    });
    expect(answer.location).toBe(`/api/v1/deliveries/${encodeURIComponent((answer.body as Shown).id)}`);
    expect(await cloud.http('GET', answer.location!)).toMatchObject({
      status: 200,
      body: answer.body as object,
    });

    const device = await cloud.fakeDevice(deviceId);
    const delivery = await device.nextDelivery();
    expect(delivery).toMatchObject({ event: 'update', payload: { version: 7 } });
    expect(await stateOf(answer.location!)).toBe('sent');
    delivery.handled(tuple('installed', new Date(0)));
    await (await cloud.fedecks.deliveries.get((answer.body as Shown).id))!.final;
    const { body } = await cloud.http('GET', answer.location!);
    expect(body).toMatchObject({
      state: 'done',
      attempts: 1,
      result: ['installed', '1970-01-01T00:00:00.000Z'],
    });
    const times = (['queuedAt', 'sentAt', 'finalAt'] as const).map((name) =>
      Date.parse((body as Record<typeof name, string>)[name]),
    );
    const inOrder = [before, ...times, Date.now()];
    expect(inOrder).toEqual([...inOrder].sort());
    await device.disconnect();
  });

  it('show why a device has rejected one', async () => {
    const path = await delivered({ event: 'update' });
    const device = await cloud.fakeDevice(deviceId);
    const delivery = await device.nextDelivery();
    expect(delivery.payload).toBeNull();
    delivery.fail('invalid', 'no version');
    const body = await become(path, 'rejected');
    await device.disconnect();
    expect(body).toMatchObject({ code: 'invalid', text: 'no version' });
  });

  it('have a path also for a device whose id has slashes, spaces and percent signs', async () => {
    await cloud.writeLogins({ devices: ['*'] });
    const id = 'a/b c/%2F';
    const path = await delivered({ event: 'update' }, id);
    const device = await cloud.fakeDevice(id);
    (await device.nextDelivery()).handled();
    await become(path, 'done');
    await device.disconnect();
    expect(await cloud.http('GET', path)).toMatchObject({ status: 200, body: { deviceId: id } });
  });

  it('are listed for each device: the final ones, and then those that wait', async () => {
    await delivered({ event: 'first' });
    const second = await delivered({ event: 'second' });
    await delivered({ event: 'other' }, 'another');
    await cloud.http('DELETE', second);
    const { status, body } = await cloud.http('GET', `/api/v1/devices/${deviceId}/deliveries`);
    expect([status, (body as Shown[]).map(({ event, state }) => `${event} ${state}`)]).toEqual([
      200,
      ['second cancelled', 'first queued'],
    ]);
    expect(await cloud.http('GET', '/api/v1/devices/unknown/deliveries')).toEqual({ status: 200, body: [] });
  });

  it('are cancelled when they were not sent, and are not sent then', async () => {
    const path = await delivered({ event: 'cancelled' });
    expect(await cloud.http('DELETE', path)).toMatchObject({ status: 200, body: { state: 'cancelled' } });
    await delivered({ event: 'marker' });
    const device = await cloud.fakeDevice(deviceId);
    const delivery = await device.nextDelivery();
    expect(delivery.event).toBe('marker');
    expect(await cloud.http('DELETE', path)).toMatchObject({ status: 200, body: { state: 'cancelled' } });
    await device.disconnect();
  });

  it('are marked as cancelled when they were sent, and done if the device handles them', async () => {
    const path = await delivered({ event: 'update' });
    const device = await cloud.fakeDevice(deviceId);
    const delivery = await device.nextDelivery();
    const cancelled = await cloud.http('DELETE', path);
    expect(cancelled).toMatchObject({ status: 200, body: { state: 'sent', isCancelled: true } });
    delivery.handled();
    await (await cloud.fedecks.deliveries.get((cancelled.body as Shown).id))!.final;
    expect(await stateOf(path)).toBe('done');
    await device.disconnect();
  });

  it('do not wait for those of another lane', async () => {
    await delivered({ event: 'update' });
    await delivered({ event: 'alarm', lane: 'alarms' });
    const device = await cloud.fakeDevice(deviceId);
    const events = [await device.nextDelivery(), await device.nextDelivery()].map(({ event }) => event);
    expect(events.sort()).toEqual(['alarm', 'update']);
    await device.disconnect();
  });

  it('expire after their ttlMs', async () => {
    const path = await delivered({ event: 'update', ttlMs: 1, key: null, lane: null });
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await stateOf(path)).toBe('expired');
  });

  it('answer 404 where nothing is known', async () => {
    for (const id of ['nonsense', `${deviceId}/epoch/0/7`]) {
      const path = `/api/v1/deliveries/${encodeURIComponent(id)}`;
      const message = `Nothing is known of delivery "${id}".`;
      for (const method of ['GET', 'DELETE'] as const)
        expect(await cloud.http(method, path)).toMatchObject({ status: 404, body: { message } });
    }
  });

  it('answer 401 without the key, and keep nothing', async () => {
    const [headers, body] = [{}, '{"event":"update"}'];
    const posted = await cloud.http('POST', `/api/v1/devices/${deviceId}/deliveries`, { headers, body });
    expect(posted.status).toBe(401);
    const path = await delivered({ event: 'marker' });
    for (const [method, url] of [
      ['GET', `/api/v1/devices/${deviceId}/deliveries`],
      ['GET', path],
      ['DELETE', path],
    ] as const)
      expect((await cloud.http(method, url, { headers })).status).toBe(401);
    const { body: kept } = await cloud.http('GET', `/api/v1/devices/${deviceId}/deliveries`);
    expect(kept).toMatchObject([{ event: 'marker', state: 'queued' }]);
  });

  it.each<[string, object, string]>([
    ['no event', {}, 'event'],
    ['an empty event', { event: '' }, 'event'],
    ['an event of more than 256 bytes', { event: 'ä'.repeat(129) }, 'event'],
    ['an event that is not a string', { event: 1 }, 'event'],
    ['a ttlMs of 0', { event: 'e', ttlMs: 0 }, 'ttlMs'],
    ['a ttlMs of more than 30 days', { event: 'e', ttlMs: 2_592_000_001 }, 'ttlMs'],
    ['a ttlMs that is a string', { event: 'e', ttlMs: '5' }, 'ttlMs'],
    ['an empty key', { event: 'e', key: '' }, 'key'],
    ['a key of more than 256 bytes', { event: 'e', key: 'x'.repeat(257) }, 'key'],
    ['a lane of more than 64 bytes', { event: 'e', lane: 'x'.repeat(65) }, 'lane'],
    ['a field that does not exist', { event: 'e', ttl: 5 }, 'property ttl'],
    ['an array', [], 'event'],
  ])('answer 400 to %s, and name the field', async (_what, given, field) => {
    const { status, body } = await deliver(given);
    const message = JSON.stringify((body as { message: unknown }).message);
    expect([status, message]).toEqual([400, expect.stringContaining(field)]);
    expect(await cloud.http('GET', `/api/v1/devices/${deviceId}/deliveries`)).toEqual({
      status: 200,
      body: [],
    });
  });

  it.each([
    ['a number that cannot be encoded', '{"litres":1e400}', 'litres'],
    ['lists in lists that are too deep', `${'['.repeat(45_000)}${']'.repeat(45_000)}`, 'nested'],
  ])('answer 400 to %s', async (_what, payload, expected) => {
    const body = `{"event":"e","payload":${payload}}`;
    const answer = await cloud.http('POST', `/api/v1/devices/${deviceId}/deliveries`, { body });
    const message = expect.stringContaining(expected) as string;
    expect(answer).toMatchObject({ status: 400, body: { message } });
  });

  it('keep all fields of a payload', async () => {
    const payload = { constructor: 'Bob', prototype: { constructor: 1, toString: [null] } };
    await delivered({ event: 'update', payload });
    const device = await cloud.fakeDevice(deviceId);
    expect((await device.nextDelivery()).payload).toEqual(payload);
    await device.disconnect();
  });

  it('take the longest event, key and lane, and the longest ttlMs', async () => {
    const key = 'x'.repeat(256);
    const most = { event: 'ä'.repeat(128), key, lane: 'x'.repeat(64), ttlMs: 2_592_000_000 };
    expect(await deliver(most)).toMatchObject({ status: 202, body: { key } });
  });

  it('answer 409 when 1,000 messages wait for the device', async () => {
    await Promise.all(Array.from({ length: 1_000 }, () => cloud.fedecks.deliver(deviceId, 'event', null)));
    expect(await deliver({ event: 'one more' })).toMatchObject({
      status: 409,
      body: { code: 'delivery-queue-full', text: expect.stringContaining('1,000 messages wait') as string },
    });
    expect(await deliver({ event: 'event' }, 'another')).toMatchObject({ status: 202 });
  });

  it('answer 413 to a message of more than 256 KiB, and to a body of more than 100 KiB', async () => {
    // Each list takes 2 bytes of JSON, and 6 of a term.
    const nested = JSON.parse(`${'['.repeat(60)}${']'.repeat(60)}`) as unknown;
    const large = { event: 'e', payload: Array<unknown>(800).fill(nested) };
    expect(JSON.stringify(large).length).toBeLessThan(100 * 1_024);
    expect(await deliver(large)).toMatchObject({
      status: 413,
      body: { message: expect.stringContaining('at most 262144') as string },
    });
    expect(await deliver({ event: 'e', payload: 'x'.repeat(100 * 1_024) })).toMatchObject({ status: 413 });
  });
});
