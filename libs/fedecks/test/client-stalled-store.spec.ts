import { ClientStoppedError, FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { ClientLog } from './support/client-log.js';
import { type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';
import { chars, str, term, tuple } from './support/term-bytes.js';

/** Longer than the client's timeout for its store. */
const DEADLINE_MS = 15_000;

/** Never answers while `stalled`, until `thaw()`. */
class StallingStore extends MemoryTokenStore {
  readonly calls: string[] = [];
  stalled = false;
  thaw: () => void = () => undefined;
  /** Resolves at the first call that stalls. */
  readonly stalling = new Promise<void>((resolve) => (this.hit = resolve));
  private hit!: () => void;

  override async load(): Promise<string | undefined> {
    await this.answer('load');
    return super.load();
  }

  override async save(token: string): Promise<void> {
    await this.answer(`save ${token}`);
    return super.save(token);
  }

  override async remove(): Promise<void> {
    await this.answer('remove');
    return super.remove();
  }

  private async answer(call: string): Promise<void> {
    this.calls.push(call);
    if (!this.stalled) return;
    const thawed = new Promise<void>((resolve) => (this.thaw = resolve));
    this.hit();
    await thawed;
  }
}

let cloud: PhoenixPeer;
let store: StallingStore;
let client: FedecksClient;
let log: ClientLog;

beforeEach(async () => {
  cloud = await PhoenixPeer.listen();
  store = new StallingStore();
  client = new FedecksClient({
    url: cloud.url,
    deviceId: 'nerves-242a',
    tokenStore: store,
    startDelayMs: 0,
    closeTimeoutMs: 30,
  });
  log = new ClientLog(client);
});

afterEach(async () => {
  store.thaw();
  await client.stop();
  await cloud.close();
}, DEADLINE_MS);

function sendToken(device: PeerConnection, token: string): void {
  device.binary(term(tuple(chars('token'), str(token))));
}

/** Accepts the next connection, and consumes its token request. */
async function accept(): Promise<PeerConnection> {
  const device = await cloud.accept();
  device.upgrade();
  await device.frame();
  return device;
}

async function loggedIn(): Promise<PeerConnection> {
  const login = client.login({ password: 'open sesame' });
  const device = await accept();
  sendToken(device, 'first-token');
  await login;
  return device;
}

describe('a token store that never answers', () => {
  it(
    'does not block stop(), which reports the lost token and writes none afterwards',
    async () => {
      const device = await loggedIn();
      store.stalled = true;
      sendToken(device, 'second-token');
      await store.stalling;
      sendToken(device, 'third-token');
      // The pong follows all messages read before the ping: the third token is queued now.
      device.ping('all read');
      await device.frame();
      await log.until('token_stored');
      await client.stop();
      await log.until('stopped');
      expect(await log.rest()).toEqual([
        {
          type: 'token_store_failed',
          reason: 'The token store did not answer within 3000 ms after stop().',
        },
      ]);
      expect(client.details.lastError).toContain('did not answer');
      store.thaw();
      await new Promise((resolve) => setImmediate(resolve));
      expect(store.calls).toEqual(['load', 'save first-token', 'save second-token']);
    },
    DEADLINE_MS,
  );

  it(
    'does not block a login or a logout once the client is stopped',
    async () => {
      await loggedIn();
      store.stalled = true;
      const login = expect(client.login({ password: 'open sesame' })).rejects.toThrow(ClientStoppedError);
      sendToken(await accept(), 'second-token');
      await store.stalling;
      const logout = client.logout().catch((error: unknown) => error);
      await log.until('unregistered');
      await client.stop();
      expect(await logout).toBeInstanceOf(ClientStoppedError);
      await login;
    },
    DEADLINE_MS,
  );

  it('does not block stop() of a client that is starting', async () => {
    store.stalled = true;
    const starting = expect(client.start()).rejects.toThrow(ClientStoppedError);
    const login = expect(client.login({ password: 'open sesame' })).rejects.toThrow(ClientStoppedError);
    await store.stalling;
    await client.stop();
    await starting;
    await login;
  });
});
