// A hostile device: it runs its scene, and reconnects as soon as it is closed.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { binary } from './hostile-terms.mjs';

/** The delay after a rejected upgrade. */
const REFUSED_MS = 100;

/** @param auth the term in the auth header. */
export function upgradeRequest(auth) {
  return (
    'GET /fedecks/websocket HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n' +
    `sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-fedecks-auth: ${auth.toString('base64')}\r\n\r\n`
  );
}

export function loginRequest(id, password = 'x') {
  const fields = ['fedecks-device-id', id, 'password', password].map(binary);
  return upgradeRequest(Buffer.concat([Buffer.from([131, 116, 0, 0, 0, 2]), ...fields]));
}

export class HostileDevice {
  constructor(port, id, scene, counts) {
    this.port = port;
    this.id = id;
    this.scene = scene;
    this.counts = counts;
    this.stopped = false;
    this.running = this.run();
  }

  async run() {
    while (!this.stopped) {
      const accepted = await this.connect();
      if (!accepted) await sleep(REFUSED_MS);
    }
  }

  /** Resolves when the connection has ended; true if it was accepted. */
  connect() {
    return new Promise((resolve) => {
      const socket = connect({ port: this.port, host: '127.0.0.1', noDelay: true });
      this.socket = socket;
      let accepted = false;
      let timer;
      socket.once('data', (answer) => {
        accepted = answer.toString('latin1', 0, 12) === 'HTTP/1.1 101';
        this.counts[accepted ? 'accepted' : 'refused']++;
        if (!accepted) return socket.destroy();
        if (this.scene.reads === false) socket.pause();
        else socket.on('data', () => undefined);
        timer = this.attack(socket);
      });
      socket.on('error', () => undefined);
      socket.on('end', () => socket.destroy());
      socket.on('close', () => {
        clearInterval(timer);
        resolve(accepted);
      });
      socket.write(loginRequest(this.id));
    });
  }

  /** Sends the bytes of its scene: `once`, `flood` as fast as TCP accepts it, `burst` at an interval. */
  attack(socket) {
    const { once, flood, burst, everyMs, lastsMs } = this.scene;
    if (once) socket.write(once);
    const pump = () => {
      while (!socket.destroyed && socket.write(flood));
    };
    if (flood) (socket.on('drain', pump), pump());
    if (lastsMs) setTimeout(() => socket.destroy(), lastsMs);
    return burst && setInterval(() => !socket.destroyed && socket.write(burst), everyMs);
  }

  stop() {
    this.stopped = true;
    this.socket.destroy();
    return this.running;
  }
}

/** Sends unauthenticated requests, `perSecond` in total, from ten addresses. Returns a function that stops it. */
export function sendRequests(port, request, perSecond, counts) {
  const start = performance.now();
  let sent = 0;
  let open = 0;
  const timer = setInterval(() => {
    const due = (perSecond * (performance.now() - start)) / 1_000;
    while (sent < due && open < 2_000) {
      open++;
      const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.0.${10 + (sent++ % 10)}` });
      socket.on('data', () => {
        counts.refused++;
        socket.destroy();
      });
      socket.on('error', () => undefined);
      socket.on('close', () => open--);
      socket.write(request);
    }
  }, 5);
  return () => clearInterval(timer);
}
