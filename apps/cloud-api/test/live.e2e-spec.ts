import { once } from 'node:events';
import { connect } from 'node:net';
import { jest } from '@jest/globals';
import { tuple } from '@fedecks/nest/wire';
import { WebSocket } from 'ws';
import { frame, OPCODE, RawPeer, upgradeRequest } from '../../../libs/fedecks/test/support/raw-peer.js';
import { LiveGateway } from '../src/live/live.gateway.js';
import { type Rates } from '../src/live/rates.js';
import { API_KEY, CloudApi, CREDENTIALS, type Operator } from './support/cloud-api.js';

describe('the live stream of cloud-api', () => {
  let cloud: CloudApi;
  beforeEach(async () => (cloud = await CloudApi.start()));
  afterEach(() => cloud.close());

  it('shows connected devices, then connects, messages and disconnects as they happen', async () => {
    await cloud.connect('greenhouse-1');
    const { shown } = cloud.watch();
    expect(await shown.next()).toEqual({ event: 'devices', data: ['greenhouse-1'] });

    const { device } = await cloud.connect('greenhouse-2');
    expect(await shown.next()).toEqual({ event: 'connected', data: { deviceId: 'greenhouse-2' } });
    await device.send(tuple('hello', 'matey'));
    const message = ['hello', 'matey'];
    expect(await shown.next()).toEqual({ event: 'message', data: { deviceId: 'greenhouse-2', message } });
    await device.sendRaw(Uint8Array.of(1, 2, 3));
    const raw = { bytes: 'AQID' };
    expect(await shown.next()).toEqual({
      event: 'message',
      data: { deviceId: 'greenhouse-2', message: raw },
    });
    await device.stop();
    const gone = { deviceId: 'greenhouse-2', cause: 'closed_by_device', code: 1000 };
    expect(await shown.next()).toEqual({ event: 'disconnected', data: gone });
  });

  it('shows the same to every operator, and continues when one leaves', async () => {
    const [first, second] = [cloud.watch(), cloud.watch()];
    await Promise.all([first.shown.next(), second.shown.next()]);
    const { device } = await cloud.connect('greenhouse-1');
    const connected = { event: 'connected', data: { deviceId: 'greenhouse-1' } };
    expect(await first.shown.next()).toEqual(connected);
    expect(await second.shown.next()).toEqual(connected);
    first.socket.close();
    await first.closed.next();
    await device.send('still there');
    expect(await second.shown.next()).toMatchObject({ event: 'message', data: { message: 'still there' } });
  });

  it('shows one device to an operator who asks for it', async () => {
    await cloud.connect('greenhouse-1');
    const { shown } = cloud.watch(undefined, '?device=a%2Fb%20c');
    expect(await shown.next()).toEqual({ event: 'devices', data: [] });
    expect(await shown.next()).toMatchObject({ event: 'history', data: { errors: [], rates: [] } });
    const { device } = await cloud.connect('greenhouse-2');
    await device.send('not shown');
    const { device: watched } = await cloud.connect('a/b c');
    await watched.send('shown');
    expect(await shown.next()).toEqual({ event: 'connected', data: { deviceId: 'a/b c' } });
    expect(await shown.next()).toEqual({ event: 'message', data: { deviceId: 'a/b c', message: 'shown' } });
  });

  it('shows changes and rates of the fleet, and no messages', async () => {
    const { shown } = cloud.watch(undefined, '?fleet');
    expect(await shown.next()).toMatchObject({ event: 'history' });
    const { device } = await cloud.connect('greenhouse-1');
    for (const message of ['one', 'two', 'three']) await device.send(message);
    await device.stop();
    const seen: unknown[] = [];
    const sum = { connects: 0, closed: 0, received: 0 };
    while (sum.received < 3 || sum.closed < 1) {
      const item = await shown.next();
      seen.push(item.event);
      if (item.event !== 'rates') continue;
      const { connects, closes, received } = item.data as Rates;
      sum.connects += connects;
      sum.closed += closes['closed_by_device'] ?? 0;
      sum.received += received;
    }
    expect(new Set(seen)).toEqual(new Set(['connected', 'disconnected', 'rates']));
    expect(sum).toEqual({ connects: 1, closed: 1, received: 3 });
  });

  it('begins with what has happened: the errors, and the rates of the last five minutes', async () => {
    const first = cloud.watch(undefined, '?fleet');
    await first.shown.next();
    const wrong = { ...CREDENTIALS, password: 'open barley' };
    await expect(cloud.device('greenhouse-1').login(wrong)).rejects.toThrow();
    while ((await first.shown.next()).event !== 'rates');
    const error = {
      deviceId: 'greenhouse-1',
      type: 'authentication_failed',
      info: '',
      at: expect.any(String) as string,
    };
    const { data } = await cloud.watch(undefined, '?fleet').shown.next();
    const { at, errors, rates } = data as { at: string; errors: unknown[]; rates: Rates[] };
    expect(errors).toEqual([error]);
    const idle = { connects: 0, closes: {}, received: 0, sent: 0, requests: 0, deliveries: 0 };
    expect(rates[0]).toEqual({ at: expect.any(Number) as number, ...idle });
    expect(rates.at(-1)!.at).toBeLessThanOrEqual(Date.parse(at));
    for (const [id, expected] of [
      ['greenhouse-1', [error]],
      ['greenhouse-2', []],
    ] as const) {
      const { shown } = cloud.watch(undefined, `?device=${id}`);
      await shown.next();
      expect(await shown.next()).toMatchObject({ event: 'history', data: { errors: expected, rates: [] } });
    }
  });

  it('keeps the 50 newest errors', async () => {
    const gateway = cloud.get(LiveGateway);
    for (let count = 1; count <= 51; count++)
      gateway.failed({ deviceId: null, type: 'invalid_token', info: String(count) });
    const { data } = await cloud.watch(undefined, '?fleet').shown.next();
    const { errors } = data as { errors: { info: string }[] };
    expect(errors.map(({ info }) => Number(info))).toEqual(
      Array.from({ length: 50 }, (_, index) => index + 2),
    );
  });

  it('shows a rejected login without its credentials', async () => {
    const { shown } = cloud.watch();
    await shown.next();
    await expect(
      cloud.device('greenhouse-1').login({ ...CREDENTIALS, password: 'open barley' }),
    ).rejects.toThrow();
    const data = { deviceId: 'greenhouse-1', type: 'authentication_failed', info: '' };
    expect(await shown.next()).toEqual({ event: 'error', data });
  });

  it.each<[string, Record<string, string>]>([
    ['no key', {}],
    ['a wrong key', { 'x-api-key': 'wrong' }],
  ])('rejects an operator with %s with 401, before the upgrade', async (_what, headers) => {
    const { refused } = cloud.watch(headers);
    expect(await refused.next()).toBe(401);
  });

  it('closes the connection of a rejected client, even if the client does not', async () => {
    const stranger = await RawPeer.connect(cloud.port);
    stranger.write(Buffer.concat([upgradeRequest({ target: '/live' }), frame(OPCODE.text, 'x', { rsv: 4 })]));
    expect((await stranger.response()).statusLine).toBe('HTTP/1.1 401 Unauthorized');
    await stranger.ended();
    stranger.destroy();
  });

  it('rejects the 51st operator with 503, until one has left', async () => {
    const operators = Array.from({ length: 50 }, () => cloud.watch());
    for (const { shown } of operators) await shown.next();
    expect(await cloud.watch().refused.next()).toBe(503);

    operators[0]!.socket.close();
    await operators[0]!.closed.next();
    expect(await cloud.watch().shown.next()).toMatchObject({ event: 'devices' });
  });

  it('logs at most 20 bad frames of operators per 10 s, one line each', async () => {
    const lines = cloud.recordLog();
    for (let sent = 0; sent < 30; sent++) {
      const operator = await RawPeer.connect(cloud.port);
      const request = upgradeRequest({ target: '/live', headers: { 'x-api-key': API_KEY } });
      operator.write(Buffer.concat([request, frame(OPCODE.text, 'x', { rsv: 4 })]));
      await operator.ended();
      operator.destroy();
    }
    const about = lines.filter((line) => line.includes('an operator was disconnected'));
    expect(about).toHaveLength(20);
    expect(about.join('').length).toBeLessThan(20 * 200);
  });

  it('shows at most 16,384 characters of a message', async () => {
    const { shown } = cloud.watch();
    await shown.next();
    const { device } = await cloud.connect('greenhouse-1');
    await shown.next();
    await device.send('x'.repeat(200_000));
    const { data } = await shown.next();
    expect((data as { message: string }).message).toMatch(/^x{16383}\.\.\.$/);
  });

  it('closes an operator who does not read with 4001, and no other', async () => {
    const slow = cloud.watch();
    const quick = cloud.watch();
    await Promise.all([slow.shown.next(), quick.shown.next()]);
    slow.socket.pause();

    const { device } = await cloud.connect('greenhouse-1');
    await quick.shown.next();
    // From the close frame on, an operator has 5 s to answer it: this one reads again at once.
    const closing = jest.spyOn(WebSocket.prototype, 'close');
    const isClosing = (): boolean => closing.mock.calls.some(([code]) => code === 4001);
    // Each is shown as six characters: all together are more than the kernel's buffers.
    const [most, chunk] = [150, '\u0001'.repeat(16_000)];
    let sent = 0;
    for (; sent < most && !isClosing(); sent++) {
      await device.send(chunk);
      await quick.shown.next();
    }
    slow.socket.resume();
    closing.mockRestore();
    expect(await slow.closed.next()).toMatchObject({ code: 4001 });
    // With 'connected', and without the last message.
    expect(slow.shown.size).toBeLessThanOrEqual(sent);
    expect(quick.closed.size).toBe(0);
  });

  it('shares its port with the devices, and rejects other upgrades', async () => {
    const socket = connect(cloud.port, '127.0.0.1');
    socket.write(
      'GET /elsewhere HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    const received: Buffer[] = [];
    socket.on('data', (bytes: Buffer) => received.push(bytes));
    await once(socket, 'close', { signal: AbortSignal.timeout(5_000) });
    expect(Buffer.concat(received).toString()).not.toContain('101');

    const operator: Operator = cloud.watch();
    await operator.shown.next();
    await cloud.connect('greenhouse-1');
    expect(await operator.shown.next()).toMatchObject({ event: 'connected' });
  });
});
