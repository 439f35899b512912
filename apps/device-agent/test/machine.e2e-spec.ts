import { execFileSync, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { EXIT } from '../src/cli/exit.js';
import { AgentProgram, type RunningAgent } from './support/agent-program.js';
import { Cloud, CREDENTIALS } from './support/cloud.js';

const ID = 'greenhouse-1';
const THERMAL = '/sys/class/thermal';
/** An address that no other server uses. */
const NAME_SERVER = '127.77.0.53';

// A mount namespace, which requires root, shows the agent another machine.
const namespace = spawnSync('unshare', ['--mount', 'test', '-d', THERMAL]).status === 0;
if (!namespace) {
  it.todo(`A simulated machine: NOT TESTED, because this user may not mount over ${THERMAL}`);
} else {
  describe('A simulated machine', () => {
    let program: AgentProgram;
    let cloud: Cloud;
    let directory: string;

    beforeAll(async () => (program = await AgentProgram.compile()));

    beforeEach(async () => {
      cloud = await Cloud.start();
      directory = mkdtempSync(join(tmpdir(), 'device-agent-sensors-'));
      writeFileSync(join(directory, 'login.json'), JSON.stringify(CREDENTIALS));
    });

    afterEach(async () => {
      await program.stopAll();
      await cloud.close();
      rmSync(directory, { recursive: true });
    });

    /** Creates `thermal_zoneN`. @returns the path of its temperature. */
    function zone(number: number): string {
      const path = join(directory, 'thermal', `thermal_zone${number}`);
      mkdirSync(path, { recursive: true });
      writeFileSync(join(path, 'type'), 'soc-thermal\n');
      return join(path, 'temp');
    }

    it('exits in time when stopped while its name server does not answer', async () => {
      const silent = createSocket('udp4').bind(53, NAME_SERVER);
      await once(silent, 'listening');
      const resolver = join(directory, 'resolv.conf');
      writeFileSync(resolver, `nameserver ${NAME_SERVER}\noptions timeout:30 attempts:2\n`);
      const asked = once(silent, 'message');
      const agent = run(
        `mount --bind ${resolver} /etc/resolv.conf`,
        'ws://cloud.example.com/fedecks/websocket',
      );
      await asked;
      agent.kill('SIGTERM');
      const ended = await Promise.race([agent.ended(), pause(10_000, 'late', { ref: false })]);
      silent.close();
      expect(ended).not.toBe('late');
    });

    /** Runs `device-agent run` after a mount command; by default the thermal zones are its sensors. */
    function run(
      mount = `mount --bind "$0" ${THERMAL}`,
      url = cloud.url,
      stateDir = join(directory, 'state'),
    ): RunningAgent {
      return program.runIn(
        ['unshare', '--mount', 'sh', '-c', `${mount} && exec "$@"`, join(directory, 'thermal')],
        {
          FEDECKS_URL: url,
          FEDECKS_DEVICE_ID: ID,
          FEDECKS_STATE_DIR: stateDir,
          FEDECKS_START_DELAY_MS: '0',
          FEDECKS_LOGIN_FILE: join(directory, 'login.json'),
          TELEMETRY_INTERVAL_MS: '1000',
        },
      );
    }

    it('does not start a second agent with the same read-only state directory', async () => {
      mkdirSync(join(directory, 'state'));
      const readOnly = `mount --bind ${directory}/state ${directory}/state && mount -o remount,bind,ro ${directory}/state`;
      const first = run(readOnly);
      await first.logged('Commands cannot reach this agent');
      await first.logged('Connected');
      const second = run(readOnly);
      await second.logged('Another agent is running with this state directory');
      expect(await second.ended()).toBe(EXIT.alreadyRunning);
      first.kill('SIGKILL');
      await first.ended();
      await run(readOnly).logged('Connected');
      expect(await cloud.changes.next()).toBe('connected');
    });

    it('starts a second agent with another read-only state directory', async () => {
      for (const name of ['a', 'b']) mkdirSync(join(directory, name));
      const mounts = (name: string): string =>
        `mount --bind ${directory}/${name} /mnt && mount -o remount,bind,ro /mnt`;
      await run(mounts('a'), cloud.url, '/mnt').logged('Connected');
      await run(mounts('b'), cloud.url, '/mnt').logged('Connected');
    });

    it('runs as a user who may not read the configuration file that systemd has read', async () => {
      mkdirSync(join(directory, 'etc/fedecks'), { recursive: true });
      const file = join(directory, 'etc/fedecks/device-agent.env');
      writeFileSync(file, 'FEDECKS_URL=ws://127.0.0.1:9/\n', { mode: 0o600 });
      chmodSync(directory, 0o777);
      const nobody = 'setpriv --reuid=65534 --regid=65534 --clear-groups';
      await run(`mount --bind ${directory}/etc /etc && set -- ${nobody} "$@"`).logged('Connected');
    });

    it('sends the temperature of the hottest readable sensor, in degrees Celsius', async () => {
      writeFileSync(zone(0), '41500\n');
      writeFileSync(zone(1), '48200\n');
      // A disabled sensor, which cannot be read.
      zone(2);
      run();
      expect(await cloud.event('telemetry')).toMatchObject({ temperatureCelsius: 48.2 });
    });

    it('omits the temperature without sensors, and logs no warning', async () => {
      run('mount -t tmpfs none /sys/class');
      expect(await cloud.event('telemetry')).not.toHaveProperty('temperatureCelsius');
      expect(await cloud.event('telemetry')).toMatchObject({ uptimeS: expect.any(Number) as number });
      expect(program.output).not.toContain('Telemetry is sent without');
    });

    it('stays connected when a sensor hangs, and exits when the cloud requests a restart', async () => {
      // A FIFO without a writer: opening it blocks for ever.
      execFileSync('mkfifo', [zone(0)]);
      const agent = run();
      await agent.logged('Telemetry is sent without temperature: no answer within 2000 ms');
      for (let times = 0; times < 3; times++) {
        expect(await cloud.event('telemetry')).toMatchObject({ uptimeS: expect.any(Number) as number });
      }
      await cloud.push(ID, { event: 'ping', data: 'are you there?' });
      expect(await cloud.event('pong')).toBe('are you there?');
      expect(cloud.changes.size).toBe(1);
      await cloud.push(ID, { event: 'restart', data: null });
      expect(await cloud.event('restarting')).toBeNull();
      // By a signal, which a service manager treats as a failure.
      expect(await agent.ended()).toBeNull();
    });
  });
}
