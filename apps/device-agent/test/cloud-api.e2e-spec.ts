import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FedecksClient } from '@fedecks/nest/client-nest';
import { CloudApi, CREDENTIALS } from '../../cloud-api/test/support/cloud-api.js';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { AppModule } from '../src/app.module.js';
import { Restart } from '../src/commands/restart.js';
import { readConfig } from '../src/config.js';
import { type AgentStatus } from '../src/control/status.js';
import { StatusReport } from '../src/control/status-report.js';
import { RecentLog } from '../src/log/recent-log.js';

const ID = 'greenhouse-1';
const DAY_MS = 24 * 3_600_000;

describe('device-agent with a login file, connected to cloud-api', () => {
  const realNow = Date.now;
  let cloud: CloudApi;
  let directory: string;
  let loginFile: string;
  let agent: INestApplicationContext | undefined;

  beforeEach(async () => {
    cloud = await CloudApi.start();
    directory = await mkdtemp(join(tmpdir(), 'device-agent-cloud-'));
    loginFile = join(directory, 'login.json');
    await writeFile(loginFile, JSON.stringify(CREDENTIALS));
  });

  afterEach(async () => {
    Date.now = realNow;
    await agent?.close();
    await cloud.close();
    await rm(directory, { recursive: true });
  });

  /** The composed agent, as `device-agent run` starts it. */
  async function start(env: NodeJS.ProcessEnv = {}): Promise<void> {
    const config = await readConfig(undefined, {
      FEDECKS_URL: `ws://127.0.0.1:${cloud.port}/fedecks/websocket`,
      FEDECKS_DEVICE_ID: ID,
      FEDECKS_STATE_DIR: join(directory, 'state'),
      FEDECKS_LOGIN_FILE: loginFile,
      FEDECKS_START_DELAY_MS: '0',
      ...env,
    });
    agent = await NestFactory.createApplicationContext(AppModule.with(config, new RecentLog()), {
      logger: false,
    });
  }

  function status(): AgentStatus {
    return agent!.get(StatusReport).status();
  }

  /** Resolves when it has connected by a login, and got a new token. */
  async function connected(): Promise<void> {
    await eventually(
      () => ({ ...status(), devices: cloud.fedecks.devices() }),
      ({ state, tokenHeld, devices }) => state === 'connected' && tokenHeld && devices.length === 1,
    );
  }

  it('logs in again when its token is revoked, and keeps the new one', async () => {
    await start();
    await connected();
    const before = cloud.fedecks.devices()[0]!.since;
    await cloud.fedecks.revoke(ID);
    await eventually(
      () => cloud.fedecks.devices(),
      ([device]) => (device?.since ?? before) > before,
    );
    await connected();
    expect(status()).toMatchObject({
      tokenRefused: false,
      lastError: 'The cloud refuses the token (expired or revoked)',
    });

    // The next start needs no login.
    await rm(loginFile);
    await agent!.close();
    await start();
    await connected();
  });

  it('logs in again when its token has expired while it was off', async () => {
    Date.now = () => realNow() - 40 * DAY_MS;
    await start();
    await connected();
    await agent!.close();
    Date.now = realNow;
    await start();
    await connected();
    // The old token is held until the new one has arrived.
    await eventually(
      () => Date.parse(status().tokenExpiresAt ?? ''),
      (expiresAt) => expiresAt > Date.now(),
    );
    expect(status().lastError).toBe('The cloud refuses the token, which has expired');
  });

  it('keeps its old token, and logs why, while cloud-api rejects the login', async () => {
    await start();
    await connected();
    await cloud.writeLogins({ devices: ['greenhouse-2'] });
    await cloud.fedecks.revoke(ID);
    await eventually(status, ({ fileLogin }) => fileLogin?.lastError?.includes('403') === true);
    expect(status()).toMatchObject({ tokenHeld: true, tokenRefused: true });
    expect(cloud.fedecks.devices()).toEqual([]);
  });

  it('delivers its telemetry, which cloud-api handles', async () => {
    await start({ FEDECKS_OUTBOX: join(directory, 'outbox') });
    const delivered = new Promise((resolve) => {
      agent!.get(FedecksClient).events$.subscribe((event) => {
        if (event.type.startsWith('deliver')) resolve(event);
      });
    });
    expect(await delivered).toMatchObject({ type: 'delivered', lane: 'telemetry' });
  });

  it('answers requests for commands with what it would reply to messages', async () => {
    await start();
    await connected();
    const ask = async (event: string, payload: unknown): Promise<unknown> => {
      const body = JSON.stringify({ event, payload });
      const response = await cloud.http('POST', `/api/v1/devices/${ID}/requests`, { body });
      expect(response.status).toBe(200);
      return (response.body as { answer: unknown }).answer;
    };
    expect(await ask('ping', [1, 'a'])).toEqual({ event: 'pong', data: [1, 'a'] });
    expect(await ask('identify', null)).toMatchObject({ event: 'identity', data: { deviceId: ID } });
    const interval = { intervalMs: 5_000 };
    expect(await ask('set_interval', interval)).toEqual({ event: 'interval_set', data: interval });
    expect(await ask('set_interval', { intervalMs: 0 })).toMatchObject({
      event: 'invalid',
      data: { problems: [expect.any(String)] },
    });
    expect(await ask('nonsense', null)).toEqual({ event: 'unsupported', data: { event: 'nonsense' } });
    expect(await ask('restart', null)).toBeNull();
    await agent!.get(Restart).requested;
  });
});
