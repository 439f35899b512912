import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type INestApplicationContext, Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { type Term } from '@fedecks/nest/wire';
import { of } from 'rxjs';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { Inbox } from '../../../libs/fedecks/test/support/inbox.js';
import { AppModule } from '../src/app.module.js';
import { readConfig } from '../src/config.js';
import { StatusReport } from '../src/control/status-report.js';
import { RecentLog } from '../src/log/recent-log.js';
import { Collector } from '../src/telemetry/collector.js';
import { TelemetryFeed } from '../src/telemetry/telemetry.js';
import { VERSION } from '../src/version.js';
import { Cloud, CREDENTIALS } from './support/cloud.js';

const ID = 'greenhouse-1';

describe('device-agent', () => {
  let cloud: Cloud;
  let directory: string;
  let loginFile: string;
  let log: Inbox<string>;
  const agents: INestApplicationContext[] = [];

  beforeEach(async () => {
    cloud = await Cloud.start();
    directory = await mkdtemp(join(tmpdir(), 'device-agent-test-'));
    loginFile = join(directory, 'login.json');
    await writeFile(loginFile, JSON.stringify(CREDENTIALS));
  });

  afterEach(async () => {
    await Promise.all(agents.splice(0).map((agent) => agent.close()));
    await cloud.close();
    await rm(directory, { recursive: true });
  });

  /** Reads the agent's log up to the next line with this prefix, inclusive. */
  async function logged(beginning: string): Promise<string[]> {
    const lines = [];
    do lines.push(await log.next());
    while (!lines.at(-1)?.startsWith(beginning));
    return lines;
  }

  /** The composed agent, as `device-agent run` starts it. */
  async function start(
    env: NodeJS.ProcessEnv = { FEDECKS_LOGIN_FILE: loginFile },
    telemetry?: TelemetryFeed,
  ) {
    const config = await readConfig(undefined, {
      FEDECKS_URL: cloud.url,
      FEDECKS_DEVICE_ID: ID,
      FEDECKS_STATE_DIR: join(directory, 'state'),
      FEDECKS_START_DELAY_MS: '0',
      ...env,
    });
    log = new Inbox('line of the log');
    const take = (line: string): void => log.put(line);
    Logger.overrideLogger({ log: take, warn: take, error: take });
    const module = AppModule.with(config, new RecentLog());
    if (telemetry) {
      const others = module.providers!.filter(
        (each) => !('provide' in each) || each.provide !== TelemetryFeed,
      );
      module.providers = [...others, { provide: TelemetryFeed, useValue: telemetry }];
    }
    const agent = await NestFactory.createApplicationContext(module);
    agents.push(agent);
    return agent;
  }

  describe('without a token', () => {
    it('logs in with the login file', async () => {
      await start();
      expect(await cloud.changes.next()).toBe('connected');
      expect(cloud.logins).toBe(1);
    });

    it('waits for a login without a login file', async () => {
      await start({});
      await logged('This device has no token: log it in with `device-agent login`');
      expect(cloud.logins).toBe(0);
    });

    it.each([
      ['is not there yet', undefined, 'The agent cannot read the login file (ENOENT). Trying again in 1 s'],
      ['is not JSON yet', '{"username":', 'The login file must be JSON'],
      ['holds no object yet', '"gardener"', 'Credentials must be an object'],
    ])('retries when the login file %s', async (_what, text, said) => {
      await rename(loginFile, `${loginFile}.complete`);
      if (text !== undefined) await writeFile(loginFile, text);
      await start();
      await logged(said);
      await rename(`${loginFile}.complete`, loginFile);
      expect(await cloud.changes.next()).toBe('connected');
    });

    it('retries when the cloud was unreachable', async () => {
      const url = cloud.url;
      await cloud.close();
      await start({ FEDECKS_LOGIN_FILE: loginFile, FEDECKS_URL: url });
      await logged('Login failed: ');
      cloud = await Cloud.start(Number(new URL(url).port));
      expect(await cloud.changes.next()).toBe('connected');
    });
  });

  describe('with a token', () => {
    it('reconnects after a restart, without credentials', async () => {
      const first = await start();
      expect(await cloud.changes.next()).toBe('connected');
      await logged('Logged in');
      await first.close();
      expect(await cloud.changes.next()).toBe('disconnected');

      await rm(loginFile);
      await start();
      expect(await cloud.changes.next()).toBe('connected');
      await cloud.event('telemetry');
      expect(cloud.logins).toBe(1);
    });
  });

  describe('with a token that the cloud rejects', () => {
    /** A cloud whose tokens expire at once, and an agent that was off for longer. */
    async function comeBackExpired(env?: NodeJS.ProcessEnv): Promise<INestApplicationContext> {
      await cloud.close();
      cloud = await Cloud.start(0, undefined, { tokenExpiry: '1s', tokenRefresh: '900ms' });
      const first = await start();
      expect(await cloud.changes.next()).toBe('connected');
      await logged('Logged in');
      await first.close();
      expect(await cloud.changes.next()).toBe('disconnected');
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      return start(env);
    }

    it('logs in again with the login file when the token has expired', async () => {
      await comeBackExpired();
      expect(await cloud.changes.next()).toBe('connected');
      expect(cloud.logins).toBe(2);
    });

    it('logs what to do when the token has expired and there is no login file', async () => {
      const agent = await comeBackExpired({});
      await logged('The cloud rejects the token of this device (expired or revoked): log it in');
      expect(agent.get(StatusReport).status()).toMatchObject({
        state: 'connection_scheduled',
        tokenHeld: true,
        tokenRefused: true,
        lastError: 'The cloud refuses the token, which has expired',
      });
      expect(cloud.logins).toBe(1);
    });

    it('keeps the token until the login has succeeded', async () => {
      await writeFile(`${loginFile}.wrong`, JSON.stringify({ ...CREDENTIALS, password: 'open barley' }));
      const agent = await comeBackExpired({ FEDECKS_LOGIN_FILE: `${loginFile}.wrong` });
      await logged('Login failed: ');
      const { tokenHeld, fileLogin } = agent.get(StatusReport).status();
      expect(tokenHeld).toBe(true);
      expect(fileLogin).toMatchObject({
        file: `${loginFile}.wrong`,
        lastError: expect.stringContaining('403') as string,
      });
      await rename(loginFile, `${loginFile}.wrong`);
    });

    it('logs in again with the login file when the token was revoked', async () => {
      await start();
      expect(await cloud.changes.next()).toBe('connected');
      await logged('Logged in');
      await cloud.revoke(ID);
      expect(await cloud.changes.next()).toBe('disconnected');
      expect(await cloud.changes.next()).toBe('connected');
      expect(cloud.logins).toBe(2);
      await logged('Logged in');
    });

    it('logs what to do when the token was revoked and there is no login file', async () => {
      const first = await start();
      await logged('Logged in');
      await first.close();
      const agent = await start({});
      await logged('Connected');
      await cloud.revoke(ID);
      await logged('The cloud rejects the token of this device (expired or revoked): log it in');
      expect(agent.get(StatusReport).status()).toMatchObject({
        state: 'connection_scheduled',
        tokenRefused: true,
      });
    });
  });

  it('logs its connection events, without credentials and tokens', async () => {
    const { username, password } = CREDENTIALS;
    const agent = await start();
    const lines = await logged('Logged in');
    const [token = ''] = (await readFile(join(directory, 'state', 'token'), 'latin1'))
      .trim()
      .split('\n')
      .slice(-1);
    await agent.close();
    lines.push(...(await logged('Stopped')));
    expect(lines).toEqual(
      expect.arrayContaining([
        'No token: a login is needed',
        `Connecting to ${cloud.url} with credentials`,
        'Connected',
        'A new token is stored',
        'Stopped',
      ]),
    );
    for (const secret of [username, password, token, Buffer.from(token, 'base64').toString()]) {
      expect(secret).not.toBe('');
      expect(lines.join()).not.toContain(secret);
    }
  });

  describe('connected', () => {
    it('sends telemetry at once', async () => {
      await start();
      expect(await cloud.event('telemetry')).toMatchObject({
        loadAverages: [expect.any(Number), expect.any(Number), expect.any(Number)],
        memoryTotalBytes: expect.any(Number) as number,
        memoryFreeBytes: expect.any(Number) as number,
        memoryAvailableBytes: expect.any(Number) as number,
        diskTotalBytes: expect.any(Number) as number,
        diskFreeBytes: expect.any(Number) as number,
        uptimeS: expect.any(Number) as number,
      });
    });

    it('stays connected, and sends the remaining readings, when sensors fail', async () => {
      const circular: Record<string, Term> = {};
      circular['itself'] = circular;
      const sensors = {
        throws: () => {
          throw new Error('no such bus');
        },
        hangs: () => new Promise<never>(() => undefined),
        nan: async () => ({ celsius: NaN }),
        circular: async () => circular,
        good: async () => ({ uptimeS: 7 }),
      };
      const telemetry = new TelemetryFeed(new Collector(sensors, 100), of(1_000));
      await start({ FEDECKS_LOGIN_FILE: loginFile }, telemetry);
      for (let times = 0; times < 2; times++) expect(await cloud.event('telemetry')).toEqual({ uptimeS: 7 });
      await cloud.push(ID, { event: 'ping', data: 'still there?' });
      expect(await cloud.event('pong')).toBe('still there?');
      expect(await cloud.changes.next()).toBe('connected');
      expect(cloud.changes.size).toBe(0);
      expect((await logged('Telemetry is sent without hangs: ')).join()).toContain(
        'without throws: no such bus',
      );
    });

    it('sends telemetry at each interval', async () => {
      await start({ FEDECKS_LOGIN_FILE: loginFile, TELEMETRY_INTERVAL_MS: '1000' });
      for (let times = 0; times < 3; times++) await cloud.event('telemetry');
    });

    it('sends telemetry early after a notable change, and only then', async () => {
      let celsius = 40;
      let looks = 0;
      const sensors = {
        temperature: async () => {
          looks++;
          return { temperatureCelsius: celsius };
        },
      };
      await start(
        { FEDECKS_LOGIN_FILE: loginFile },
        new TelemetryFeed(new Collector(sensors), of(86_400_000), undefined, 20),
      );
      expect(await cloud.event('telemetry')).toEqual({ temperatureCelsius: 40 });
      celsius = 44;
      const before = looks;
      await eventually(
        () => looks,
        (now) => now > before + 3,
      );
      celsius = 45;
      expect(await cloud.event('telemetry')).toEqual({ temperatureCelsius: 45 });
    });

    it('says hello once on each connection, with what runs on the device', async () => {
      await start();
      expect(await cloud.event('hello')).toEqual({
        version: VERSION,
        nodeVersion: process.version,
        bootId: (await readFile('/proc/sys/kernel/random/boot_id', 'latin1')).trim(),
        uptimeS: expect.any(Number) as number,
        agentUptimeS: expect.any(Number) as number,
        settings: { telemetryIntervalMs: 60_000, logLevel: 'debug' },
        exec: [],
      });
      await cloud.revoke(ID);
      await cloud.event('hello');
      await cloud.push(ID, { event: 'ping', data: null });
      expect(await cloud.event('pong')).toBeNull();
      expect(cloud.hellos).toBe(2);
    });

    it('answers ping with its payload', async () => {
      await start();
      await cloud.event('telemetry');
      await cloud.push(ID, { event: 'ping', data: { sequence: 7 } });
      expect(await cloud.event('pong')).toEqual({ sequence: 7 });
    });

    it('identifies itself', async () => {
      await start();
      await cloud.event('telemetry');
      await cloud.push(ID, ['identify', null]);
      const { platform, arch, version: nodeVersion } = process;
      expect(await cloud.event('identity')).toMatchObject({ deviceId: ID, platform, arch, nodeVersion });
    });

    it('sends telemetry at the interval the cloud sets', async () => {
      await start({ FEDECKS_LOGIN_FILE: loginFile, TELEMETRY_INTERVAL_MS: '86400000' });
      await cloud.event('telemetry');
      await cloud.push(ID, { event: 'set_interval', data: { intervalMs: 1000 } });
      for (let times = 0; times < 3; times++) await cloud.event('telemetry');
    });

    it('confirms a new interval', async () => {
      await start();
      await cloud.event('telemetry');
      await cloud.push(ID, { event: 'set_interval', data: { intervalMs: 60_000 } });
      expect(await cloud.event('interval_set')).toEqual({ intervalMs: 60_000 });
    });

    it.each([
      ['too short', { intervalMs: 999 }],
      ['no number', { intervalMs: 'soon' }],
      ['missing', {}],
    ])('rejects an interval that is %s, and says why', async (_what, data) => {
      await start();
      await cloud.event('telemetry');
      await cloud.push(ID, { event: 'set_interval', data });
      const { problems } = (await cloud.event('invalid')) as { problems: string[] };
      expect(problems.join()).toContain('intervalMs');
    });

    it('reports an unknown event to the cloud, and does not answer other messages', async () => {
      await start();
      await cloud.event('telemetry');
      await cloud.push(ID, 'a string');
      await cloud.push(ID, { event: 'make_coffee', data: { strength: 11 } });
      await cloud.push(ID, { event: 'ping', data: null });
      expect(await cloud.nextAnswer()).toBe('unsupported');
      expect(await cloud.nextAnswer()).toBe('pong');
    });
  });
});
