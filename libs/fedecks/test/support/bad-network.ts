/**
 * A cloud, and devices behind a bad network (bench/link/lossy-link.py), as processes in network namespaces: see
 * `bad-network.spec.ts`. Run by `unshare -n`, it creates the link, and starts itself again in the network behind it. Its
 * arguments are the link's properties in JSON, the number of devices, and `tls` if they connect through nginx.
 *
 * Each line of its standard output is JSON: `{ device, event }` for each event of a client, or `{ report }` for one of
 * `@OnSocketError`. A line of its standard input changes the link; at its end all processes exit.
 */
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FedecksModule, OnSocketError, Payload, type SocketError } from '@fedecks/nest';
import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';

/** The cloud's end of the link. */
const NEAR = '10.99.0.1';
const PORT = 4000;
const LINK = '../../../../bench/link';

const [linkIs = '{}', devices = '1', tls = ''] = process.argv.slice(2);
const { CA_FILE, IS_BEHIND_LINK } = process.env;
function tell(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

@Injectable()
class Reports {
  @OnSocketError()
  report(@Payload() { type }: SocketError): void {
    tell({ report: type });
  }
}

@Module({
  imports: [
    FedecksModule.forRoot({
      secrets: ['s'.repeat(32)],
      authenticator: { authenticate: () => true },
      upgradesPerAddressPerMinute: 0,
      trustedProxies: ['loopback'],
    }),
  ],
  providers: [Reports],
})
class AppModule {}

async function startCloud(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: false });
  await app.listen(PORT, '0.0.0.0');
  const directory = mkdtempSync(join(tmpdir(), 'fedecks-bad-network-'));
  const caFile = join(directory, 'cert.pem');
  if (tls) startNginx(directory, caFile);
  const again = [process.execPath, ...process.argv.slice(1)];
  const link = spawn('python3', [fileOf('lossy-link.py'), linkIs, ...again], {
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { ...process.env, IS_BEHIND_LINK: 'yes', CA_FILE: caFile },
  });
  process.stdin.pipe(link.stdin, { end: false });
  const end = (): void => {
    rmSync(directory, { recursive: true, force: true });
    // All other processes here end with this one: see `--kill-child` where it is started.
    process.exit();
  };
  process.stdin.once('end', end);
  link.once('exit', end);
}

/** Starts nginx with a certificate for one day, which it expects next to its configuration. */
function startNginx(directory: string, certFile: string): void {
  const request =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=cloud -addext';
  const files = ['-keyout', join(directory, 'key.pem'), '-out', certFile];
  execFileSync('openssl', [...request.split(' '), `subjectAltName=IP:${NEAR}`, ...files], {
    stdio: 'ignore',
  });
  const config = join(directory, 'nginx.conf');
  copyFileSync(fileOf('nginx.conf'), config);
  spawn('nginx', ['-p', directory, '-e', 'stderr', '-c', config], { stdio: ['ignore', 'ignore', 'inherit'] });
}

function fileOf(name: string): string {
  return fileURLToPath(new URL(`${LINK}/${name}`, import.meta.url));
}

function startDevices(): void {
  for (let index = 0; index < Number(devices); index++) {
    const client = new FedecksClient({
      url: tls ? `wss://${NEAR}/fedecks/websocket` : `ws://${NEAR}:${PORT}/fedecks/websocket`,
      ...(tls && { tls: { ca: readFileSync(CA_FILE ?? '', 'utf8') } }),
      deviceId: `device-${index}`,
      tokenStore: new MemoryTokenStore(),
      // Sometimes less than this link needs, so that many attempts and connections time out.
      phaseTimeoutMs: 2_000,
      pingIntervalMs: 1_000,
      pongTimeoutMs: 2_000,
      retryMinMs: 100,
      retryMaxMs: 1_000,
    });
    client.events$.subscribe((event) => tell({ device: index, event }));
    void keepLoggingIn(client);
  }
}

async function keepLoggingIn(client: FedecksClient): Promise<void> {
  const isDone = await client.login({}).then(
    () => true,
    () => false,
  );
  if (isDone) return;
  await new Promise((resolve) => setTimeout(resolve, 1_000 * Math.random()));
  await keepLoggingIn(client);
}

if (IS_BEHIND_LINK) startDevices();
else await startCloud();
