import { tuple } from '@fedecks/nest/wire';
import { API_KEY, CloudApi, CREDENTIALS } from './support/cloud-api.js';

describe('the devices of cloud-api', () => {
  let cloud: CloudApi;
  beforeAll(async () => (cloud = await CloudApi.start()));
  beforeEach(() => cloud.writeLogins({ devices: ['greenhouse-1', 'a/b c'] }));
  afterEach(() => cloud.disconnectAll());
  afterAll(() => cloud.close());

  describe('over HTTP', () => {
    it.each<[string, Record<string, string>]>([
      ['no key', {}],
      ['a wrong key', { 'x-api-key': 'key-of-the-operator' }],
      ['an empty key', { 'x-api-key': '' }],
      ['a wrong bearer', { authorization: 'Bearer wrong' }],
      ['the key as basic authentication', { authorization: `Basic ${API_KEY}` }],
    ])('reject a request with %s', async (_what, headers) => {
      const { received } = await cloud.connect('greenhouse-1');
      expect(await cloud.http('GET', '/api/v1/devices', { headers })).toMatchObject({ status: 401 });
      const push = { headers, body: '{"event":"ping"}' };
      expect(await cloud.http('POST', '/api/v1/devices/greenhouse-1/messages', push)).toMatchObject({
        status: 401,
      });

      await cloud.http('POST', '/api/v1/devices/greenhouse-1/messages', { body: '["marker"]' });
      expect(await received.next()).toEqual(['marker']);
    });

    it('receive JSON that is posted to them', async () => {
      const { received } = await cloud.connect('a/b c');
      const body = '{"event":"water","data":{"litres":1.5,"zones":[1,2,null]}}';
      const answer = await cloud.http('POST', `/api/v1/devices/${encodeURIComponent('a/b c')}/messages`, {
        body,
      });
      expect(answer).toEqual({ status: 200, body: { result: 'sent' } });
      expect(await received.next()).toEqual({ event: 'water', data: { litres: 1.5, zones: [1, 2, null] } });
    });

    it('answer 409 when they are offline', async () => {
      const answer = await cloud.http('POST', '/api/v1/devices/greenhouse-1/messages', {
        body: '["hi","there"]',
      });
      expect(answer).toEqual({ status: 409, body: { result: 'offline' } });
    });

    it.each([
      ['no message', undefined],
      ['text that is not JSON', '{"event":'],
      ['a number that cannot be encoded', '[1e400]'],
    ])('answer 400 to %s', async (_what, body) => {
      await cloud.connect('greenhouse-1');
      const answer = await cloud.http(
        'POST',
        '/api/v1/devices/greenhouse-1/messages',
        body === undefined ? {} : { body },
      );
      expect(answer).toMatchObject({ status: 400 });
    });
  });

  describe('asked over HTTP', () => {
    function nested(depth: number): unknown {
      return depth === 0 ? [] : [nested(depth - 1)];
    }

    function ask(body: object, id = 'greenhouse-1') {
      return cloud.http('POST', `/api/v1/devices/${id}/requests`, { body: JSON.stringify(body) });
    }

    it('answer 200 with what their handler returns', async () => {
      const { device } = await cloud.connect('greenhouse-1');
      device.onRequest('read', (payload) => ({ read: payload, at: new Date(0) }));
      expect(await ask({ event: 'read', payload: { sensor: 3 } })).toEqual({
        status: 200,
        body: { answer: { read: { sensor: 3 }, at: '1970-01-01T00:00:00.000Z' } },
      });
      expect(await ask({ event: 'read' })).toMatchObject({ body: { answer: { read: null } } });
    });

    it('answer 400 to a payload that is nested too deeply', async () => {
      await cloud.connect('greenhouse-1');
      expect(await ask({ event: 'read', payload: nested(300) })).toMatchObject({ status: 400 });
    });

    it('receive all fields of a payload, and have 30 s where timeoutMs is null', async () => {
      const device = await cloud.fakeDevice('greenhouse-1');
      const payload = { constructor: 'Bob', prototype: { constructor: 1, toString: [null] } };
      const answer = ask({ event: 'read', payload, timeoutMs: null });
      const request = await device.nextRequest();
      expect(request).toMatchObject({ payload, remainingMs: 30_000 });
      request.reply(1);
      expect(await answer).toMatchObject({ status: 200 });
      await device.disconnect();
    });

    it('answer 401 without the key', async () => {
      const { device } = await cloud.connect('greenhouse-1');
      let calls = 0;
      device.onRequest('read', () => ++calls);
      const request = { headers: {}, body: '{"event":"read"}' };
      expect(await cloud.http('POST', '/api/v1/devices/greenhouse-1/requests', request)).toMatchObject({
        status: 401,
      });
      expect(await ask({ event: 'read' })).toEqual({ status: 200, body: { answer: 1 } });
    });

    it('answer 409 when they are offline', async () => {
      const answer = await ask({ event: 'read' });
      expect(answer).toMatchObject({ status: 409, body: { code: 'offline' } });
    });

    it('answer 501 when they speak protocol 1', async () => {
      const peer = await cloud.connectProtocol1('greenhouse-1');
      const answer = await ask({ event: 'read' });
      expect(answer).toMatchObject({ status: 501, body: { code: 'not_supported' } });
      peer.destroy();
    });

    it('answer 502 with the code and text of their error', async () => {
      const { device } = await cloud.connect('greenhouse-1');
      expect(await ask({ event: 'read' })).toEqual({
        status: 502,
        body: { code: 'no_handler', text: 'no handler takes this event' },
      });
      device.onRequest('read', () => {
        throw new Error('the password is swordfish');
      });
      expect(await ask({ event: 'read' })).toEqual({
        status: 502,
        body: { code: 'failed', text: 'internal error' },
      });
    });

    it('answer 504 when no answer comes', async () => {
      const { device } = await cloud.connect('greenhouse-1');
      device.onRequest('read', () => new Promise(() => undefined));
      const late = await ask({ event: 'read', timeoutMs: 50 });
      expect(late).toMatchObject({ status: 504, body: { code: 'timeout' } });
      device.onRequest('stop', () => device.stop());
      const lost = await ask({ event: 'stop' });
      expect(lost).toMatchObject({ status: 504, body: { code: 'connection_lost' } });
    });

    it.each([
      ['no event', {}],
      ['a timeout beyond the maximum', { event: 'read', timeoutMs: 600_001 }],
      ['an event that is not a string', { event: 1 }],
    ])('answer 400 to %s', async (_what, body) => {
      expect(await ask(body)).toMatchObject({ status: 400 });
    });
  });

  describe('at login', () => {
    const refused = { name: 'LoginFailedError', code: 'upgrade-failed', status: 403 };

    it.each([
      ['a wrong password', { ...CREDENTIALS, password: 'open barley' }],
      ['an empty password', { ...CREDENTIALS, password: '' }],
      ['an unknown username', { ...CREDENTIALS, username: 'burglar' }],
      ['a username every object inherits', { ...CREDENTIALS, username: 'constructor' }],
      ['an unknown username and an empty password', { username: 'burglar', password: '' }],
      ['no username', { password: CREDENTIALS.password }],
      ['a password that is not a string', { ...CREDENTIALS, password: ['open sesame'] }],
    ])('are rejected with %s', async (what, credentials) => {
      // Each under an id of its own: after 5 failures, an id has to wait.
      await cloud.writeLogins({ devices: [what] });
      await expect(cloud.device(what).login(credentials)).rejects.toMatchObject(refused);
    });

    it('are rejected under an id that the login does not list', async () => {
      await expect(cloud.device('cellar-1').login(CREDENTIALS)).rejects.toMatchObject(refused);
    });

    it('are accepted without a restart after the logins file has changed', async () => {
      await cloud.writeLogins({ devices: ['cellar-1'] });
      await expect(cloud.device('cellar-1').login(CREDENTIALS)).resolves.toBeUndefined();
      await cloud.writeLogins({ devices: ['*'] });
      await expect(cloud.device('cellar-2').login(CREDENTIALS)).resolves.toBeUndefined();
    });
  });

  it('get ["hi", "there"] for {"hello", "matey"}, and no reply to other messages', async () => {
    const { device, received } = await cloud.connect('greenhouse-1');
    await device.send(tuple('temperature', 21.5));
    await device.send('telemetry', { nonsense: true });
    await device.sendRaw(Uint8Array.of(1, 2, 3));
    await device.send(tuple('hello', 'matey'));
    expect(await received.next()).toEqual(['hi', 'there']);
  });
});
