import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Injectable, ParseIntPipe } from '@nestjs/common';
import { OnMessage, Payload } from '@fedecks/nest';
import { type ChildApp } from './support/child-app.js';
import { type Cloud, PASSWORD, startCloud } from './support/cloud.js';
import { eventually } from './support/eventually.js';
import { FedecksCli, type Outcome } from './support/fedecks-cli.js';
import { Inbox } from './support/inbox.js';
import { PhoenixPeer } from './support/phoenix-peer.js';
import { nack, resume } from './support/raw-deliveries.js';
import { chars, str, term, tuple } from './support/term-bytes.js';

const PROTOCOL_2 = 'x-fedecks-protocol: 2\r\n';

@Injectable()
class Readings {
  readonly handled = new Inbox<unknown>('delivered message');
  isFailing = true;

  @OnMessage('reading')
  reading(@Payload() payload: unknown) {
    this.handled.put(payload);
  }

  @OnMessage('count')
  count(@Payload(new ParseIntPipe()) count: number) {
    this.handled.put(count);
  }

  @OnMessage('fail')
  fail() {
    if (this.isFailing) throw new Error('the database is gone');
  }
}

let cli: FedecksCli;
let cloud: Cloud;
let url: string;
let readings: Readings;
let outbox: string;
let running: ChildApp | undefined;
const peers: PhoenixPeer[] = [];

beforeAll(async () => {
  cli = await FedecksCli.compile();
  cloud = await startCloud({}, [Readings]);
  readings = cloud.get(Readings);
  url = `ws://127.0.0.1:${cloud.port}/fedecks/websocket`;
  await cli.run(['login', url, '--id', 'poke-1'], { input: JSON.stringify({ password: PASSWORD }) });
}, 60_000);

afterAll(async () => {
  await cloud.close();
  cli.remove();
});

beforeEach(async () => (outbox = await mkdtemp(join(tmpdir(), 'fedecks-cli-outbox-'))));
afterEach(async () => {
  running?.dispose();
  running = undefined;
  await Promise.all(peers.splice(0).map((peer) => peer.close()));
  await rm(outbox, { recursive: true });
});

/** To the cloud that handles deliveries: the last login may be at a raw one. */
function deliver(args: readonly string[], input?: string): Promise<Outcome> {
  return cli.run(['deliver', ...args, '--url', url], input === undefined ? {} : { input });
}

/** A raw cloud to which poke-1 has logged in. */
async function rawCloud(): Promise<PhoenixPeer> {
  const peer = await PhoenixPeer.listen();
  peers.push(peer);
  const login = cli.run(['login', peer.url, '--id', 'poke-1'], { input: '{"password":"p"}' });
  const device = await peer.accept();
  device.upgrade();
  device.binary(term(tuple(chars('token'), str('t'))));
  while ((await device.frame()).opcode !== 8);
  device.fin();
  expect(await login).toMatchObject({ code: 0 });
  return peer;
}

describe('fedecks deliver', () => {
  it('prints handled when the cloud has handled the message', async () => {
    const handled = { code: 0, stdout: 'handled\n', stderr: '' };
    expect(await deliver(['reading', '{"celsius":27.5}'])).toEqual(handled);
    const more = ['--lane', 'alarms', '--message-key', 'k', '--ttl', '60', '--outbox', outbox];
    expect(await deliver(['reading', '-', ...more], '7')).toEqual(handled);
    expect([await readings.handled.next(), await readings.handled.next()]).toEqual([{ celsius: 27.5 }, 7]);
  });

  it('says after a few seconds that the handler of the cloud fails, and prints handled when it no longer does', async () => {
    running = cli.start(['deliver', 'fail', '--url', url]);
    const command = running;
    await eventually(
      () => command.stderr,
      (text) => text.includes('Not handled yet: the handler of the cloud still runs or has failed'),
    );
    readings.isFailing = false;
    expect(await running.line(20_000)).toBe('handled');
    expect(await running.exited(10_000)).toMatchObject({ code: 0 });
  });

  it('exits with 11 and prints why the cloud rejects the message', async () => {
    const { code, stdout } = await deliver(['count', '"many"']);
    expect(stdout).toMatch(/^rejected \(invalid\): .*numeric string/);
    expect(code).toBe(11);
  });

  it('prints what a cloud says of the message without commands for the terminal', async () => {
    const peer = await rawCloud();
    running = cli.start(['deliver', 'reading', '7', '--url', peer.url]);
    const device = await peer.accept();
    device.upgrade(undefined, PROTOCOL_2);
    device.binary(resume());
    while (!(await device.frame()).payload.includes('deliver'));
    device.binary(nack(1, 'no_handler', 'gone\u001b[2J\nhandled'));
    expect(await running.line()).toBe('rejected (no_handler): gone\\u001b[2J\\u000ahandled');
    expect(await running.exited(10_000)).toMatchObject({ code: 11 });
  });

  it('connects again until the message expires, and exits with 11', async () => {
    const peer = await rawCloud();
    await peer.close();
    peers.pop();
    const { code, stdout, stderr } = await cli.run([
      ...['deliver', 'reading', '--ttl', '0.5', '--url', peer.url],
    ]);
    expect(stderr).toContain('fedecks: The server could not be reached');
    expect({ code, stdout }).toEqual({ code: 11, stdout: 'expired\n' });
  });

  it('keeps a message in a directory at Ctrl-C, for the next command to deliver', async () => {
    const peer = await rawCloud();
    running = cli.start(['deliver', 'reading', '1', '--outbox', outbox, '--url', peer.url]);
    await peer.accept();
    running.kill('SIGINT');
    expect(await running.exited(10_000)).toMatchObject({ code: 130 });
    expect(running.stderr).toContain(`fedecks: Cancelled.\nThe message stays in ${outbox}.`);
    const next = await deliver(['reading', '2', '--outbox', outbox]);
    expect(next).toMatchObject({ code: 0, stdout: 'handled\n' });
    expect([await readings.handled.next(), await readings.handled.next()]).toEqual([1, 2]);
  });

  it('exits with 1 when the cloud speaks protocol 1', async () => {
    const peer = await rawCloud();
    running = cli.start(['deliver', 'reading', '7', '--url', peer.url]);
    (await peer.accept()).upgrade();
    expect(await running.exited(10_000)).toMatchObject({ code: 1 });
    expect(running.stderr).toContain('The cloud speaks protocol 1');
  });

  it('exits with 1 when only a login would help', async () => {
    const { code, stderr } = await deliver(['reading', '--id', 'poke-9', '--outbox', outbox]);
    expect(stderr).toContain(`fedecks login ${url} --id poke-9\nThe message stays in ${outbox}.`);
    expect(code).toBe(1);
  });

  it('exits with 1 when the outbox cannot be used', async () => {
    const file = join(outbox, 'file');
    await writeFile(file, '');
    const { code, stderr } = await deliver(['reading', '--outbox', file]);
    expect(stderr).toContain(file);
    expect(code).toBe(1);
  });

  it.each([
    ['a time of zero', ['--ttl', '0'], '--ttl must be a number from 0.001 to 31536000'],
    ['a lane without a name', ['--lane', ''], 'A lane must have 1 to 64 bytes, not 0'],
    ['a key that is too long', ['--message-key', 'k'.repeat(257)], 'A key must have at most 256 bytes'],
    ['a directory without a name', ['--outbox', ''], '--outbox is empty'],
  ])('exits with 2 for %s', async (_what, args, message) => {
    const { code, stderr } = await deliver(['reading', '7', ...args]);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });
});

describe('NODE_DEBUG=fedecks', () => {
  it('logs what happens to deliveries, without their payload', async () => {
    const peer = await rawCloud();
    running = cli.start(['deliver', 'reading', '"hunter2"', '--lane', 'logs', '--url', peer.url], {
      NODE_DEBUG: 'fedecks',
    });
    const device = await peer.accept();
    device.upgrade(undefined, PROTOCOL_2);
    device.binary(resume());
    while (!(await device.frame()).payload.includes('deliver'));
    device.binary(nack(1, 'failed', 'hunter3'));
    while (!(await device.frame()).payload.includes('deliver'));
    device.binary(nack(1, 'no_handler', ''));
    await running.exited(10_000);
    const lines = running.stderr.split('\n').filter((line) => line.includes('lane'));
    expect(lines.map((line) => line.replace(/^FEDECKS \d+: /, ''))).toEqual([
      '"poke-1": delivery 1 of lane "logs": kept, 27 bytes',
      '"poke-1": delivery 1 of lane "logs": delivered, attempt 1',
      '"poke-1": delivery 1 of lane "logs": not handled: failed',
      '"poke-1": delivery 1 of lane "logs": delivered, attempt 2',
      '"poke-1": delivery 1 of lane "logs": not handled: no_handler',
    ]);
    expect(running.stderr).not.toContain('hunter');
    const traced = await cli.run(['deliver', 'reading', '--url', url], { env: { NODE_DEBUG: 'fedecks' } });
    expect(traced.stderr).toContain('delivery 1 of lane "default": acknowledged, and all before it');
  });
});
