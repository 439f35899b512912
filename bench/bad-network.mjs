// Measures how long devices behind a bad network (link/lossy-link.py) are offline, and why. See docs/networks.md. Build
// first: npm run build. It needs /dev/net/tun, and root or unprivileged network namespaces.
//
//   node bench/bad-network.mjs '{"loss": 0.35, "delayMs": 300}' minutes=5 devices=60
//   node bench/bad-network.mjs '{"bytesPerSecond": 3000}' minutes=4 devices=1 bytes=200000
//
// With --tls, the devices connect through nginx (link/nginx.conf); this needs nginx and openssl.
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const file = fileURLToPath(import.meta.url);
const TLS = process.argv.includes('--tls');
const settings = Object.fromEntries(process.argv.slice(3).map((each) => each.split('=')));
const MINUTES = Number(settings.minutes ?? 5);
const DEVICES = Number(settings.devices ?? 60);
/** The size of a message that each device sends once, and that is echoed. */
const BYTES = Number(settings.bytes ?? 0);
const PORT = 4000;
/** The address of the server, or of nginx before it, as the devices see it. */
const NEAR = '10.99.0.1';

const roles = { inside: startServerAndLink, devices: runDevices };
await (roles[process.env.ROLE] ?? startNetwork)();

/** Runs everything in its own network namespace, so that this machine's network is unchanged. */
async function startNetwork() {
  const own = process.getuid() === 0 ? ['-n'] : ['-rn'];
  const child = spawn('unshare', [...own, process.execPath, file, ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, ROLE: 'inside' },
  });
  process.exitCode = await new Promise((resolve) => child.once('exit', resolve));
}

async function startServerAndLink() {
  const { createApp, decorate } = await import('./app.mjs');
  const { OnMessage, Payload } = await import('../libs/fedecks/dist/server/index.js');
  class Echo {
    echo(message) {
      return message;
    }
  }
  decorate(Echo, 'echo', OnMessage('echo'));
  Payload()(Echo.prototype, 'echo', 0);
  const app = await createApp({ trustedProxies: ['loopback'] }, { providers: [Echo], logger: false });
  await app.listen(PORT, '0.0.0.0');

  const proxy = TLS ? startProxy() : undefined;
  const script = fileURLToPath(new URL('link/lossy-link.py', import.meta.url));
  const link = spawn(
    'python3',
    [script, process.argv[2] ?? '{}', process.execPath, file, ...process.argv.slice(2)],
    { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ROLE: 'devices', CA: proxy?.certFile } },
  );
  for await (const line of createInterface({ input: link.stdout })) process.stdout.write(`${line}\n`);
  proxy?.stop();
  // The network behind the link no longer exists, so connections would not close by themselves.
  process.exit();
}

/** Starts nginx with a certificate for one day. */
function startProxy() {
  const directory = mkdtempSync(join(tmpdir(), 'fedecks-nginx-'));
  const certFile = join(directory, 'cert.pem');
  const request =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=cloud -addext';
  const files = ['-keyout', join(directory, 'key.pem'), '-out', certFile];
  execFileSync('openssl', [...request.split(' '), `subjectAltName=IP:${NEAR}`, ...files], {
    stdio: 'ignore',
  });
  // It expects them next to its configuration.
  const config = join(directory, 'nginx.conf');
  copyFileSync(fileURLToPath(new URL('link/nginx.conf', import.meta.url)), config);
  // nginx listens on all addresses, as those of this network exist only once the link is up.
  const nginx = spawn('nginx', ['-p', directory, '-e', 'stderr', '-c', config], { stdio: 'inherit' });
  nginx.on('error', (error) => {
    console.error(`nginx cannot be run: ${error.message}. On Debian: apt-get install nginx-light`);
    process.exit(1);
  });
  const stop = () => {
    nginx.kill();
    rmSync(directory, { recursive: true, force: true });
  };
  return { certFile, stop };
}

/** In the network behind the link. */
async function runDevices() {
  const { FedecksClient, MemoryTokenStore } = await import('../libs/fedecks/dist/client/index.js');
  const devices = Array.from({ length: DEVICES }, (_, index) => {
    const client = new FedecksClient({
      url: TLS ? `wss://${NEAR}/fedecks/websocket` : `ws://${NEAR}:${PORT}/fedecks/websocket`,
      ...(TLS && { tls: { ca: readFileSync(process.env.CA, 'utf8') } }),
      deviceId: `device-${index}`,
      tokenStore: new MemoryTokenStore(),
    });
    const device = { client, away: [], causes: {}, awaySince: performance.now(), slowest: 0, maxDelayMs: 0 };
    client.events$.subscribe((event) => {
      const cause =
        event.type === 'connection_lost'
          ? `lost: ${event.cause}${event.code ? ` ${event.code}` : ''}`
          : event.type === 'upgrade_failed' || event.type === 'connection_failed'
            ? (event.reason?.replace(/ within.*| \(.*|connect /g, '') ?? `HTTP ${event.status}`)
            : event.type === 'clone_suspected'
              ? event.type
              : undefined;
      if (cause !== undefined) device.causes[cause] = (device.causes[cause] ?? 0) + 1;
      if (event.type === 'connection_scheduled')
        device.maxDelayMs = Math.max(device.maxDelayMs, event.delayMs);
      if (event.type === 'connected') {
        device.away.push(performance.now() - device.awaySince);
        device.awaySince = undefined;
      }
      if (event.type === 'connection_lost') device.awaySince = performance.now();
    });
    return device;
  });
  const endsAt = performance.now() + MINUTES * 60_000;
  for (const { client } of devices) void keepLoggingIn(client);
  while (performance.now() < endsAt) {
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    for (const { client } of devices)
      if (client.status === 'connected') client.send('telemetry', { load: 0.5 }).catch(() => undefined);
    const out = devices.filter(({ client }) => client.status !== 'connected').length;
    console.log(
      `${Math.round((endsAt - performance.now()) / 1000)} s left: ${out} of ${DEVICES} are not connected`,
    );
  }
  const away = devices
    .flatMap(({ away, awaySince }) =>
      awaySince === undefined ? away : [...away, performance.now() - awaySince],
    )
    .sort((one, other) => one - other);
  const at = (share) => (away[Math.min(away.length - 1, Math.floor(share * away.length))] / 1000).toFixed(1);
  const causes = {};
  for (const device of devices) {
    for (const [cause, times] of Object.entries(device.causes)) causes[cause] = (causes[cause] ?? 0) + times;
  }
  console.log(`away, in s: median ${at(0.5)}, 90 % ${at(0.9)}, longest ${at(1)}; ${away.length} times`);
  console.log(
    `longest wait that was scheduled: ${Math.max(...devices.map(({ maxDelayMs }) => maxDelayMs)) / 1000} s`,
  );
  console.log(causes);
  process.exit();
}

async function keepLoggingIn(client) {
  for (;;) {
    const failed = await client.login({}).then(
      () => false,
      () => true,
    );
    if (!failed) return BYTES > 0 ? exchange(client) : undefined;
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 5_000));
  }
}

async function exchange(client) {
  const sentAt = performance.now();
  client.messages$.subscribe((message) => {
    if (message.length === BYTES)
      console.log(`${BYTES} bytes came back after ${seconds(performance.now() - sentAt)} s`);
  });
  await client.send('echo', 'x'.repeat(BYTES));
}

function seconds(ms) {
  return (ms / 1000).toFixed(1);
}
