// Runs the introduction on this machine: `npm run demo`, or with --once as a test. See `--help`.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import { AppProcess } from './demo/app-process.mjs';
import { originOf } from './demo/cloud-process.mjs';
import { heading, keepSecret, leaked, say } from './demo/log.mjs';
import { NatsProcess } from './demo/nats-process.mjs';
import { Sightings } from './demo/sightings.mjs';

const HELP = `npm run demo [-- --once] [--cluster]

Starts the cloud and a device on this machine and lets them talk:
  1  a cloud (apps/cloud-api) with a secret, an API key and one device login, all made up for this run
  2  an operator who watches the live stream of the cloud
  3  a device (apps/device-agent) that logs in, keeps its token, and sends telemetry
  4  a command to the device, and its answer
  5  a small second device, made with the SDK: it says {"hello", "matey"}, the cloud says ["hi", "there"]
  6  the device is killed and started again without credentials: it comes back with its token
  7  a command for you to type, with the API key of this run; with --once it is run here
  8  a link to the console, where the fleet can be watched and steered

With --cluster instead: a nats-server and two clouds that serve one fleet, a device at the first, and a command to it
that is given to the second; with --once the first is killed, and the second knows that nobody holds the device.

  --once   end after that: status 0 if every step was seen within its deadline, 1 with the reason if not
  --help   this text

Without --once the telemetry goes on until Ctrl-C. Nothing is left behind.
`;

const DEVICE = 'greenhouse-1';
const SMALL_DEVICE = 'matey-1';
const API = '/api/v1';
/** The cloud writes what devices do in batches. */
const LISTED_WITHIN_MS = 10_000;

const cloudDir = fileURLToPath(new URL('../dist/cloud-api/apps/cloud-api/src/', import.meta.url));
const agentMain = fileURLToPath(
  new URL('../dist/device-agent/apps/device-agent/src/main.js', import.meta.url),
);
const sdk = new URL('../libs/fedecks/dist/', import.meta.url);

const { values: asked } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    cluster: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (asked.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
if (!existsSync(agentMain)) {
  say('demo', 'The apps are not built yet: use `npm run demo`, or run `npm run build` first.');
  process.exit(1);
}

const files = mkdtempSync(join(tmpdir(), 'fedecks-demo-'));
process.on('exit', () => rmSync(files, { recursive: true, force: true }));
const apps = [];
const live = new Sightings();
let nats;
let ending = false;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void end(0));

try {
  await (asked.cluster ? playCluster() : play());
  if (asked.once) {
    if (leaked) throw new Error('a secret was about to be shown');
    heading('Every step was seen. Stopping both sides in order.');
    await end(0);
  } else {
    heading('The telemetry goes on. Ctrl-C ends it.');
  }
} catch (error) {
  // A step that Ctrl-C interrupts has not failed.
  if (!ending) {
    heading(`Failed: ${error.message}`);
    await end(1);
  }
}

async function play() {
  heading('1. The cloud starts. "cloud" lines are its log.');
  const password = randomBytes(18).toString('base64url');
  const apiKey = randomBytes(24).toString('base64url');
  const secret = randomBytes(48).toString('base64url');
  keepSecret(password, apiKey, secret);
  const username = 'gardener';
  const cloud = start('cloud', [join(cloudDir, 'main.js')], {
    HOST: '127.0.0.1',
    PORT: '0',
    FEDECKS_SECRET: secret,
    API_KEY: apiKey,
    LOG_FORMAT: 'text',
    DEVICE_LOGINS_FILE: keep('logins.json', loginEntry(username, password)),
    DATA_DIR: join(files, 'cloud'),
  });
  const origin = await originOf(cloud);
  const socketOrigin = origin.replace('http:', 'ws:');
  const url = `${socketOrigin}/fedecks/websocket`;

  heading('2. An operator opens the live stream with the API key. "live" lines are what it shows.');
  watch(`${socketOrigin}/live`, apiKey);
  await live.until('the live stream', ({ event }) => event === 'devices');

  heading(`3. The device ${DEVICE} starts with a login file. "device" lines are its log.`);
  const loginFile = keep('login.json', JSON.stringify({ username, password }));
  const env = {
    FEDECKS_URL: url,
    FEDECKS_DEVICE_ID: DEVICE,
    FEDECKS_STATE_DIR: join(files, 'device'),
    FEDECKS_START_DELAY_MS: '500',
    TELEMETRY_INTERVAL_MS: '3000',
  };
  let agent = start('device', [agentMain, 'run'], { ...env, FEDECKS_LOGIN_FILE: loginFile });
  await agent.line(/^Logged in/);
  const [token] = readFileSync(join(files, 'device', 'token'), 'utf8')
    .trim()
    .split('\n')
    .slice(-1);
  keepSecret(token, Buffer.from(token, 'base64').toString());
  rmSync(loginFile);
  say('demo', 'Logged in: the login file is deleted. From now on the device has only its token.');
  await live.until(
    'telemetry',
    isMessage(DEVICE, (message) => message?.[0] === 'telemetry'),
  );

  heading('4. An operator asks over HTTP who is connected, and sends the device a command.');
  const devices = await onlineDevices(origin, apiKey);
  say('demo', `GET ${API}/devices?state=online: ${devices.map(({ id }) => id).join(', ')}`);
  if (!devices.some(({ id }) => id === DEVICE)) throw new Error(`${API}/devices does not list ${DEVICE}`);
  await push(origin, apiKey, DEVICE, { event: 'ping', data: 1 });
  await live.until(
    'the answer to ping',
    isMessage(DEVICE, (message) => message?.event === 'pong'),
  );
  say('demo', 'The answer came up the same connection: pong.');

  heading(
    `5. The introduction: a small device made with the SDK, ${SMALL_DEVICE}. "matey" lines are its own.`,
  );
  await smallTalk(origin, url, apiKey, { username, password });

  heading(`6. The power of ${DEVICE} fails (kill -9), and comes back. There are no credentials any more.`);
  live.forget();
  await agent.kill();
  await live.until(
    'the disconnect',
    ({ event, data }) => event === 'disconnected' && data.deviceId === DEVICE,
  );
  agent = start('device', [agentMain, 'run'], env);
  await agent.line(/^Connecting to \S+ with token/);
  await agent.line(/^Connected/);
  await live.until(
    'telemetry after the restart',
    isMessage(DEVICE, (message) => message?.[0] === 'telemetry'),
  );
  say('demo', 'It came back by itself, with the token it had stored.');

  heading(
    '7. Your turn: this sends the device a command, from another terminal. The key is of this run only.',
  );
  const command =
    `curl -sS -H 'x-api-key: ${apiKey}' -H 'content-type: application/json' ` +
    `-d '{"event":"ping","data":2}' ${origin}${API}/devices/${DEVICE}/messages`;
  // Not by `say`, which refuses to print the key. On its own line it is easy to copy.
  process.stdout.write(`${command}\n`);
  if (asked.once) await runAsTyped(command);

  heading(
    '8. The console: open this link, choose the name and the password of an admin, and look at the fleet.',
  );
  const [link] = await cloud.line(/http:\S+\/setup#\S+/);
  process.stdout.write(`${link}\n`);
  if (!asked.once) return;
  const page = await fetch(link);
  if (!page.ok || !(await page.text()).includes('id="console"')) throw new Error('the console is not served');
}

async function runAsTyped(command) {
  live.forget();
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8', timeout: 15_000 });
  if (status !== 0) throw new Error(`the printed command ended with ${status}: ${stderr.trim()}`);
  say('demo', stdout.trim());
  if (JSON.parse(stdout).result !== 'sent') throw new Error('the printed command did not send');
  await live.until(
    'the answer to the printed command',
    isMessage(DEVICE, (message) => message?.event === 'pong'),
  );
}

async function playCluster() {
  heading('1. A NATS server starts: all that two clouds share.');
  nats = await NatsProcess.start(join(files, 'nats'));
  say('demo', `It is at ${nats.url}, and keeps its files with those of the demo.`);

  heading(
    '2. Two clouds start, with the same secret and NATS_URL. "cloud" and "cloud 2" lines are their logs.',
  );
  const password = randomBytes(18).toString('base64url');
  const apiKey = randomBytes(24).toString('base64url');
  const secret = randomBytes(48).toString('base64url');
  keepSecret(password, apiKey, secret);
  const username = 'gardener';
  const env = {
    HOST: '127.0.0.1',
    PORT: '0',
    FEDECKS_SECRET: secret,
    API_KEY: apiKey,
    LOG_FORMAT: 'text',
    DEVICE_LOGINS_FILE: keep('logins.json', loginEntry(username, password)),
    NATS_URL: nats.url,
  };
  const startCloud = (name) =>
    start(name, [join(cloudDir, 'main.js')], { ...env, DATA_DIR: join(files, name) });
  // One after the other: each makes a database, for which it needs a processor.
  const cloud = startCloud('cloud');
  const origin = await originOf(cloud);
  const secondOrigin = await originOf(startCloud('cloud 2'));
  watch(`${origin.replace('http:', 'ws:')}/live`, apiKey);
  await live.until('the live stream', ({ event }) => event === 'devices');

  heading(`3. The device ${DEVICE} connects to the first.`);
  const agent = start('device', [agentMain, 'run'], {
    FEDECKS_URL: `${origin.replace('http:', 'ws:')}/fedecks/websocket`,
    FEDECKS_DEVICE_ID: DEVICE,
    FEDECKS_STATE_DIR: join(files, 'device'),
    FEDECKS_START_DELAY_MS: '500',
    TELEMETRY_INTERVAL_MS: '3000',
    FEDECKS_LOGIN_FILE: keep('login.json', JSON.stringify({ username, password })),
  });
  await agent.line(/^Logged in/);
  const [token] = readFileSync(join(files, 'device', 'token'), 'utf8')
    .trim()
    .split('\n')
    .slice(-1);
  keepSecret(token, Buffer.from(token, 'base64').toString());

  heading(
    '4. An operator gives a command to the second cloud. It crosses NATS to the first, and down to the device.',
  );
  say(
    'demo',
    `Devices at the second cloud: ${(await http('GET', `${secondOrigin}${API}/devices`, apiKey)).items.length}`,
  );
  await push(secondOrigin, apiKey, DEVICE, { event: 'ping', data: 1 });
  await live.until(
    'the answer to ping',
    isMessage(DEVICE, (message) => message?.event === 'pong'),
  );
  say('demo', 'The answer came up where the device is connected: pong.');

  if (!asked.once) return;
  heading(
    '5. The first cloud is killed (kill -9). The second knows that nobody holds the device, and says so.',
  );
  await cloud.kill();
  const path = `${API}/devices/${DEVICE}/messages`;
  const { result, message } = await http('POST', secondOrigin + path, apiKey, { event: 'ping' });
  say('demo', `POST ${path} at the second cloud: ${result ?? message}`);
  if (result === 'sent') throw new Error('a push to a device whose cloud is gone was said to be sent');
}

async function smallTalk(origin, url, apiKey, credentials) {
  const { FedecksClient, MemoryTokenStore } = await import(new URL('client/index.js', sdk).href);
  const { tuple } = await import(new URL('wire/index.js', sdk).href);
  const device = new FedecksClient({ url, deviceId: SMALL_DEVICE, tokenStore: new MemoryTokenStore() });
  const heard = new Sightings();
  device.messages$.subscribe((message) => {
    say('matey', `received ${JSON.stringify(message)}`);
    heard.add(message);
  });
  try {
    await device.login(credentials);
    say('matey', 'connected; sends the tuple {"hello", "matey"}');
    await device.send(tuple('hello', 'matey'));
    const greeting = (message) => message?.[0] === 'hi' && message[1] === 'there';
    await live.until(
      'hello',
      isMessage(SMALL_DEVICE, (message) => message?.[0] === 'hello' && message[1] === 'matey'),
    );
    await heard.until('the reply of the cloud', greeting);
    say('demo', 'That was the reply of the handler. The same list again, pushed over HTTP:');
    heard.forget();
    await push(origin, apiKey, SMALL_DEVICE, ['hi', 'there']);
    await heard.until('the pushed message', greeting);
  } finally {
    await device.stop();
  }
}

function start(name, command, env) {
  const app = new AppProcess(name, command, env);
  apps.push(app);
  return app;
}

function watch(url, apiKey) {
  const operator = new WebSocket(url, { headers: { 'x-api-key': apiKey } });
  operator.on('message', (text) => {
    const seen = JSON.parse(text.toString());
    say('live', `${seen.event} ${shortened(JSON.stringify(seen.data))}`);
    live.add(seen);
  });
  operator.on('error', (error) => live.add({ event: 'failed', data: error.message }));
}

function isMessage(deviceId, matches) {
  return ({ event, data }) => event === 'message' && data.deviceId === deviceId && matches(data.message);
}

/** Those that are online, as soon as there is one. */
async function onlineDevices(origin, apiKey) {
  const deadline = performance.now() + LISTED_WITHIN_MS;
  for (;;) {
    const { items } = await http('GET', `${origin}${API}/devices?state=online`, apiKey);
    if (items.length > 0 || performance.now() > deadline) return items;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function push(origin, apiKey, deviceId, message) {
  const { result } = await http('POST', `${origin}${API}/devices/${deviceId}/messages`, apiKey, message);
  say('demo', `POST ${API}/devices/${deviceId}/messages ${JSON.stringify(message)}: ${result}`);
  if (result !== 'sent') throw new Error(`the push to ${deviceId} was not sent: ${result}`);
}

async function http(method, url, apiKey, body) {
  const response = await fetch(url, {
    method,
    headers: { 'x-api-key': apiKey, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  return response.json();
}

/** A file that only this user can read, deleted when the demo ends. */
function keep(name, text) {
  const path = join(files, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** The app's tool hashes the password, as the cloud stores only the hash. */
function loginEntry(username, password) {
  const tool = join(cloudDir, 'device-password.js');
  const { stdout, status, stderr } = spawnSync(process.execPath, [tool, username, DEVICE, SMALL_DEVICE], {
    input: `${password}\n`,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`device-password.js failed: ${stderr}`);
  return stdout;
}

function shortened(text) {
  return text.length > 160 ? `${text.slice(0, 160)}...` : text;
}

async function end(status) {
  if (ending) return;
  ending = true;
  // Devices first, so that the cloud sees them disconnect.
  for (const app of apps.toReversed()) await app.stop();
  await nats?.stop();
  process.exit(status);
}
