import { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Socket } from 'node:net';

/**
 * Serves unhandled upgrades as ordinary requests (RFC 9110 §7.8): Java's HTTP clients offer h2c by default. Node has left
 * HTTP by then, so this class restarts the connection with the request without its upgrade header, and with the bytes
 * after it. It first waits for the responses to earlier requests.
 */
export class DeclinedUpgrades {
  /** The unfinished responses of each connection, in their order. */
  private readonly unfinished = new WeakMap<Socket, Set<ServerResponse>>();

  constructor(private readonly server: Server) {}

  /** Called for every request of the server. */
  onRequest({ socket }: IncomingMessage, response: ServerResponse): void {
    let responses = this.unfinished.get(socket);
    if (!responses) this.unfinished.set(socket, (responses = new Set()));
    responses.add(response);
    response.once('close', () => responses.delete(response));
  }

  serve(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const bytes = Buffer.concat([headWithoutUpgrade(request), head]);
    const responses = this.unfinished.get(socket);
    const last = [...(responses ?? [])].at(-1);
    if (!last) return this.restart(socket, bytes);
    // Node has removed its listeners, but an earlier response may still fail, or wait for a drain.
    const onError = (): void => undefined;
    const onDrain = (): void => void [...(responses ?? [])].at(0)?.emit('drain');
    socket.on('error', onError).on('drain', onDrain);
    last.once('close', () => {
      socket.off('drain', onDrain);
      // Yields, because one read may contain any number of requests.
      setImmediate(() => {
        this.restart(socket, bytes);
        socket.off('error', onError);
      });
    });
  }

  private restart(socket: Socket, bytes: Buffer): void {
    if (socket.destroyed || socket.writableEnded) return;
    // The last response may have started the idle timeout.
    socket.setTimeout(0);
    socket.unshift(bytes);
    this.server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket);
  }
}

function headWithoutUpgrade({ method = '', url = '', httpVersion, rawHeaders }: IncomingMessage): Buffer {
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (name.toLowerCase() !== 'upgrade') text += `${name}: ${rawHeaders[at + 1]}\r\n`;
  }
  return Buffer.from(`${text}\r\n`, 'latin1');
}
