/**
 * Handlers and observers that fail, in a separate process: they never end it, and every failure is reported.
 */
import { type ChildApp, Program } from './support/child-app.js';
import { request } from './support/cloud.js';
import { eventually } from './support/eventually.js';
import { RawPeer } from './support/raw-peer.js';
import { str, term, tuple } from './support/term-bytes.js';

const event = (name: string, payload = ''): Buffer => term(tuple(str(name), str(payload)));

let program: Program;
let app: ChildApp;
let port: number;
/** The output of the app, oldest first. */
const lines: string[] = [];
const peers: RawPeer[] = [];
let devices = 0;

beforeAll(async () => {
  program = await Program.compile('hostile-app.ts');
  app = program.start();
  port = Number((await app.line(20_000)).split(' ')[1]);
  app.onLine((line) => lines.push(line));
});
afterEach(() => {
  for (const peer of peers.splice(0)) peer.destroy();
});
afterAll(() => app.dispose());

function newId(): string {
  return `device-${++devices}`;
}

async function open(deviceId = newId()): Promise<RawPeer> {
  const peer = await RawPeer.connect(port);
  peers.push(peer);
  peer.write(request({ deviceId }));
  expect((await peer.response()).statusLine).toContain('101');
  return peer;
}

async function expectEcho(peer: RawPeer): Promise<void> {
  peer.sendBinary(event('echo', 'alive'));
  expect((await peer.expectFrame()).payload).toEqual(term(str('alive')));
}

/** The reports about a device; checks that the app is alive and nothing was uncaught. */
async function reportsOf(deviceId: string): Promise<string[]> {
  await expectEcho(await open());
  expect(lines.filter((line) => line.startsWith('uncaught'))).toEqual([]);
  const prefix = `report ${deviceId} `;
  return lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length));
}

it.each([
  ['teardown', 'Error'],
  ['teardown behind operators', 'Error'],
  ['teardown when it completes', 'Error'],
  ['async teardown', 'Error'],
  ['return', 'Error'],
  ['return that rejects', 'Error'],
  ['then', 'Error'],
  ['a getter then', 'Error'],
  ['an error without a stack', 'Error'],
  ['an error without anything', 'object'],
  ['an Observable of such an error', 'object'],
  ['null', 'null'],
  ['a revoked Proxy', 'object'],
  ['a rejection with a revoked Proxy', 'object'],
])('reports a handler that fails by its %s, and the process goes on', async (name, error) => {
  const id = newId();
  const device = await open(id);
  device.sendBinary(event('end', name));
  await expectEcho(device);
  device.destroy();
  await eventually(
    () => reportsOf(id),
    (reports) => reports.length > 0,
  );
  expect(await reportsOf(id)).toEqual([`handler_failed Hostile.end: ${error}`]);
});

it('ends an iterator whose return() returns no promise', async () => {
  const id = newId();
  const device = await open(id);
  device.sendBinary(event('end', 'return without a promise'));
  await expectEcho(device);
  device.destroy();
  expect(await reportsOf(id)).toEqual([]);
});

it('push sinks work after a source has failed, completed or emitted an invalid message', async () => {
  const device = await open('addressee');
  await expectEcho(device);
  app.say('addressee');
  expect((await device.expectFrame()).payload).toEqual(term(str('pushed')));
  // An invalid message has no addressee.
  await eventually(
    () => reportsOf('null'),
    (reports) => reports.some((report) => report.startsWith('undelivered')),
  );
});

it('serves others while devices that read run endless generators', async () => {
  // Few, because this process has to read their output.
  for (let index = 0; index < 3; index++) {
    const device = await open();
    device.sendBinary(event('endless'));
    await device.expectFrame();
  }
  const honest = await open();
  for (let index = 0; index < 10; index++) await expectEcho(honest);
});

it('reports at most one undelivered value of a synchronous Observable of a closed device', async () => {
  const id = newId();
  const device = await open(id);
  device.pause();
  device.sendBinary(event('synchronous'));
  await eventually(
    () => lines,
    (all) => all.includes('synchronous ended'),
  );
  const reports = await reportsOf(id);
  expect(reports.filter((report) => report.startsWith('undelivered')).length).toBeLessThanOrEqual(1);
});

it('ends a waiting async generator through its @AbortSignal(), without a report', async () => {
  const id = newId();
  const device = await open(id);
  device.sendBinary(event('patient'));
  expect((await device.expectFrame()).payload).toEqual(term(str('waiting')));
  device.destroy();
  await eventually(
    () => lines,
    (all) => all.includes('listeners 0'),
  );
  expect(await reportsOf(id)).toEqual([]);
});
