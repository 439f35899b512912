import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type ChildApp, Program } from '../../../libs/fedecks/test/support/child-app.js';
import { Inbox } from '../../../libs/fedecks/test/support/inbox.js';

const WATCHDOG_MS = 1_500;
/** An agent on a machine that is busy for seconds must not look like one that hangs. */
const PATIENT_WATCHDOG_MS = 10_000;
const UNIT = fileURLToPath(new URL('../deploy/device-agent.service', import.meta.url));
const onPath = (program: string): boolean =>
  (process.env['PATH'] ?? '').split(':').some((directory) => existsSync(join(directory, program)));

/** The notifications of a service to systemd. */
class ServiceManager {
  readonly messages = new Inbox<string>('message to systemd');
  private readonly process: ChildProcess;

  constructor(
    readonly socket: string,
    readonly watchdogMs: number,
  ) {
    const script = fileURLToPath(new URL('support/service-manager.py', import.meta.url));
    this.process = spawn('python3', [script, socket, String(watchdogMs)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface({ input: this.process.stdout! }).on('line', (line) => {
      this.messages.put(JSON.parse(line) as string);
    });
  }

  /** Skips to the next message with this prefix; fails at an unwanted one. */
  async message(beginning: string, never = 'nothing that is ever said'): Promise<string> {
    for (;;) {
      const message = await this.messages.next(20_000);
      if (message.startsWith(beginning)) return message;
      expect(message).not.toBe(never);
    }
  }

  dispose(): void {
    this.process.kill('SIGKILL');
  }
}

// Without these programs, the tests are reported as todo, not as passed.
const missing = ['python3', 'systemd-notify'].filter((program) => !onPath(program));
if (missing.length > 0) {
  it.todo(`Under systemd: NOT TESTED, because there is no ${missing.join(' and no ')} on the PATH`);
} else {
  describe('Under systemd, the agent', () => {
    let program: Program;
    let directory: string;
    let systemd: ServiceManager;
    let agent: ChildApp;

    beforeAll(async () => {
      program = await Program.compile('../../../../apps/device-agent/test/support/watched-agent.ts');
    });

    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'device-agent-systemd-'));
      await beginManager(WATCHDOG_MS);
    });
    afterEach(async () => {
      agent.dispose();
      systemd.dispose();
      await rm(directory, { recursive: true });
    });

    async function beginManager(watchdogMs: number): Promise<void> {
      systemd = new ServiceManager(join(directory, `notify-${watchdogMs}`), watchdogMs);
      await systemd.message('listening');
    }

    function start(args: string[] = [], env: NodeJS.ProcessEnv = {}): void {
      agent = program.start(args, {
        env: {
          FEDECKS_URL: 'ws://127.0.0.1:9/fedecks/websocket',
          FEDECKS_DEVICE_ID: 'greenhouse-1',
          FEDECKS_STATE_DIR: join(directory, 'state'),
          NOTIFY_SOCKET: systemd.socket,
          WATCHDOG_USEC: String(systemd.watchdogMs * 1000),
          ...env,
        },
      });
    }

    it('notifies readiness, feeds the watchdog, and notifies that it stops', async () => {
      systemd.dispose();
      await beginManager(PATIENT_WATCHDOG_MS);
      start();
      expect(await systemd.message('READY=1')).toBe('READY=1\nSTATUS=unregistered');
      for (let times = 0; times < 3; times++) {
        expect(await systemd.message('WATCHDOG=1', 'starved')).toBe('WATCHDOG=1\nSTATUS=unregistered');
      }
      agent.kill('SIGTERM');
      await systemd.message('STOPPING=1', 'starved');
      expect(await agent.exited(5_000)).toMatchObject({ code: 0 });
    }, 60_000);

    it('does not feed the watchdog while its process is frozen', async () => {
      start();
      await systemd.message('WATCHDOG=1');
      agent.kill('SIGSTOP');
      await systemd.message('starved');
      agent.kill('SIGCONT');
      await systemd.message('WATCHDOG=1');
    });

    it('does not feed the watchdog while its event loop is blocked', async () => {
      start(['block', String(2 * WATCHDOG_MS)]);
      await systemd.message('WATCHDOG=1');
      agent.kill('SIGUSR2');
      await systemd.message('starved');
      await systemd.message('WATCHDOG=1');
    });

    it('does not feed the watchdog when the client has stopped, though its event loop runs', async () => {
      start(['stop-client']);
      await systemd.message('WATCHDOG=1');
      agent.kill('SIGUSR2');
      await systemd.message('starved');
      let line;
      do line = await agent.line();
      while (!line.includes('The client has stopped working'));
    });

    it('runs without systemd-notify, and logs once that it is missing', async () => {
      start([], { PATH: directory, WATCHDOG_USEC: '20000' });
      const complaints = [];
      let line;
      do {
        line = await agent.line();
        if (line.includes('systemd-notify')) complaints.push(line);
        // It is stopped after many watchdog intervals.
        if (complaints.length === 1) setTimeout(() => agent.kill('SIGTERM'), 200);
      } while (!line.includes('Stopped'));
      expect(await agent.exited(5_000)).toMatchObject({ code: 0 });
      expect(complaints).toEqual([expect.stringContaining('the program is not on the PATH')]);
    });
  });
}

// systemd-analyze and systemd-notify are in the same package.
if (!onPath('systemd-analyze')) {
  it.todo('device-agent.service: NOT TESTED, because there is no systemd-analyze on the PATH');
} else {
  describe('device-agent.service', () => {
    it('is a valid and sandboxed unit', () => {
      const verified = spawnSync('systemd-analyze', ['verify', '--man=no', UNIT], { encoding: 'utf8' });
      const complaints = verified.stderr.split('\n').filter((line) => line.includes('device-agent'));
      // The agent's program does not exist where it is not installed.
      expect(complaints.filter((line) => !line.includes('is not executable'))).toEqual([]);

      const args = ['security', '--offline=yes', '--no-pager', '--threshold=20', UNIT];
      const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
      expect({ status, said: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, said: '' });
    });
  });
}
