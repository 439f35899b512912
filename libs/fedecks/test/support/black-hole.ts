/**
 * An address of this machine that answers no SYN, as if its link were down: a frozen process listens there,
 * and its accept queue is full.
 *
 *     const hole = await BlackHole.at('127.0.0.3', 4000);
 *     await hole.close();
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { freeze } from './freeze.js';

/** Linux accepts one connection more than the backlog, and Node's minimum backlog is 1. */
const QUEUE_LENGTH = 2;

export class BlackHole {
  private constructor(
    private readonly listener: ChildProcess,
    private readonly queued: readonly Socket[],
  ) {}

  static async at(host: string, port: number): Promise<BlackHole> {
    const listen = `require('net').createServer().listen({ host: '${host}', port: ${port}, backlog: 1 }, () => console.log())`;
    const listener = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(listener.stdout, 'data');
    await freeze(listener);
    const queued = Array.from({ length: QUEUE_LENGTH }, () => connect({ host, port }));
    await Promise.all(queued.map((socket) => once(socket, 'connect')));
    return new BlackHole(listener, queued);
  }

  async close(): Promise<void> {
    for (const socket of this.queued) socket.destroy();
    const ended = once(this.listener, 'close');
    this.listener.kill('SIGKILL');
    await ended;
  }
}
