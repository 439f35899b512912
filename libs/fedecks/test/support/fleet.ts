/**
 * Cloud nodes as separate processes, linked over NATS, and devices that connect to any of them.
 *
 *     const fleet = await Fleet.compile();
 *     const node = await fleet.node({ servers: nats.url }, { duplicates: 'oldest' });
 *     await node.push(id, ['hi']);                  // as the app's own Fedecks service; also presence, revoke, ...
 *     await node.setClock(3_600_000);               // its wall clock is an hour ahead of the real one
 *     node.kill();  node.freeze();  node.thaw();    // SIGKILL, SIGSTOP, SIGCONT
 *     await node.stop();                            // app.close(), and the process ends by itself
 *     const device = await node.device('lamp-1');   // a FakeDevice
 *     await fleet.stopAll();
 *
 * A node answers within 20 s, or the call rejects, as for a frozen node. Its errors are rethrown here with the
 * same `name` and `code`.
 */
import {
  type FedecksHealth,
  type FedecksOptions,
  type PresenceEntry,
  type PresencePage,
} from '@fedecks/nest';
import { type NatsBackplaneOptions } from '@fedecks/nest/nats';
import { FakeDevice } from '@fedecks/nest/testing';
import { type Term } from '@fedecks/nest/wire';
import { type ChildApp, Program } from './child-app.js';

const ANSWERS_WITHIN_MS = 20_000;
const STARTS_WITHIN_MS = 30_000;

interface Answer {
  readonly port?: number;
  readonly call?: number;
  readonly result?: unknown;
  readonly error?: { readonly name: string; readonly code?: string; readonly message: string };
}

export class NodeFailure extends Error {
  constructor(
    override readonly name: string,
    readonly code: string | undefined,
    message: string,
  ) {
    super(message);
  }
}

export class Fleet {
  private readonly nodes: FleetNode[] = [];

  private constructor(private readonly program: Program) {}

  static async compile(): Promise<Fleet> {
    return new Fleet(await Program.compile('cluster-node.ts'));
  }

  /**
   * @param nats undefined for a single node.
   * @param clockAheadMs how far its wall clock is ahead of the real one when it starts.
   */
  async node(
    nats?: NatsBackplaneOptions,
    options: Partial<FedecksOptions> = {},
    clockAheadMs = 0,
  ): Promise<FleetNode> {
    const child = this.program.start([JSON.stringify({ nats, options, clockAheadMs })]);
    const line = await child.line(STARTS_WITHIN_MS).catch((error: unknown) => {
      child.dispose();
      throw error;
    });
    const { port } = JSON.parse(line) as { port: number };
    const node = new FleetNode(child, port);
    this.nodes.push(node);
    return node;
  }

  /** Kills every node that still runs. */
  stopAll(): void {
    for (const node of this.nodes.splice(0)) node.kill();
  }
}

export class FleetNode {
  private calls = 0;
  private readonly waiting = new Map<number, (answer: Answer) => void>();

  constructor(
    private readonly child: ChildApp,
    readonly port: number,
  ) {
    child.onLine((line) => {
      const answer = JSON.parse(line) as Answer;
      this.waiting.get(answer.call ?? 0)?.(answer);
    });
  }

  /** A device that this node accepts, by its token or a login. */
  device(id: string, token?: string): Promise<FakeDevice> {
    const listening = {
      listening: true,
      address: () => ({ port: this.port, family: 'IPv4', address: '127.0.0.1' }),
    };
    const app = { getHttpServer: () => listening, listen: () => Promise.resolve() };
    return FakeDevice.connect(app, { id, ...(token !== undefined && { token }) });
  }

  push = (id: string, message: Term) => this.call<'sent' | 'offline'>('push', id, message);
  request = (id: string, event: string, payload: Term, timeoutMs = 10_000) =>
    this.call<Term>('request', id, event, payload, timeoutMs);
  /** The values of a stream, which is unsubscribed from after so many. */
  stream = (id: string, event: string, payload: Term, count: number) =>
    this.call<Term[]>('stream', id, event, payload, count);
  disconnect = (id: string) => this.call<boolean>('disconnect', id);
  revoke = (id: string) => this.call<undefined>('revoke', id);
  broadcast = (message: Term) => this.call<undefined>('broadcast', message);
  joinGroup = (id: string, name: string) => this.call<boolean>('joinGroup', id, name);
  pushToGroup = (name: string, message: Term) => this.call<undefined>('pushToGroup', name, message);
  presence = (id: string) => this.call<PresenceEntry | undefined>('presence', id);
  list = (cursor?: string, limit = 1_000) => this.call<PresencePage>('list', cursor ?? null, limit);
  devices = () => this.call<string[]>('devices');
  health = () => this.call<FedecksHealth>('health');
  setClock = (aheadMs: number) => this.call<undefined>('setClock', aheadMs);

  /** All presence entries, from all pages. */
  async everybody(): Promise<PresenceEntry[]> {
    const entries: PresenceEntry[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.list(cursor);
      entries.push(...page.entries);
      ({ cursor } = page);
    } while (cursor !== undefined);
    return entries;
  }

  kill(): void {
    this.child.dispose();
  }

  freeze(): void {
    this.child.kill('SIGSTOP');
  }

  thaw(): void {
    this.child.kill('SIGCONT');
  }

  /** Closes the app, as a deploy does; the process must then exit by itself. */
  async stop(): Promise<void> {
    await this.call('close');
    this.child.endInput();
    await this.child.exited(10_000);
  }

  private call<Result>(action: string, ...args: unknown[]): Promise<Result> {
    const call = ++this.calls;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(call);
        reject(new Error(`the node did not answer '${action}' within ${ANSWERS_WITHIN_MS} ms`));
      }, ANSWERS_WITHIN_MS).unref();
      this.waiting.set(call, ({ result, error }) => {
        clearTimeout(timer);
        this.waiting.delete(call);
        if (error) reject(new NodeFailure(error.name, error.code, error.message));
        else resolve(result as Result);
      });
      this.child.say(JSON.stringify({ call, action, args }));
    });
  }
}
