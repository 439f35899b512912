/**
 * The gateway side of a backplane, without sockets: devices connect, present tokens and disconnect at once, and the
 * test can inspect what the backplane did with them.
 *
 *     const node = new BareNode('newest', (endpoint) => new ClusterBackplane(..., endpoint));
 *     await node.backplane.start();
 *     const token = await node.login('lamp');                // false: it was rejected
 *     node.held('lamp');  node.leave('lamp');
 *     await other.present('lamp', token);
 *     node.written;                                          // the pushes the node has executed
 *     node.onControl = (id, control, answer) => ...;         // what a device is sent about requests, and its answer
 *     node.open('lamp', 'a2');                               // the second attempt of the process 'a'
 */
import {
  type Backplane,
  type BackplaneEndpoint,
  type BackplaneFactory,
  type BackplaneHealth,
  type CloneTrace,
  type ConnectedDevice,
  type DisconnectCause,
  type NewerConnection,
} from '@fedecks/nest';
import { Observable } from 'rxjs';
import { type Term } from '@fedecks/nest/wire';
import {
  type Answered,
  type AskedRequest,
  AskedRequests,
  DeviceOfflineError,
  NotSupportedError,
  request,
  stream,
} from '../../src/requests/index.js';
import { type Attempt, type ControlMessage } from '../../src/wire/internal.js';
import { type QueueEntry } from '../../src/delivery/index.js';
import { Duplicates } from '../../src/server/duplicates.js';
import { Revocations } from '../../src/server/revocations.js';
import { type SimulatedProcess } from './simulation.js';

const TOKEN_LIFE_MS = 24 * 3_600_000;
const UPGRADE_TIMEOUT_MS = 5_000;

/** The parts of a token that revocations need. */
export interface BareToken {
  readonly generation: number;
}

interface Held {
  readonly device: ConnectedDevice;
  readonly token: BareToken;
  readonly askedAt: number;
  readonly hasSpoken: boolean;
  readonly requests: AskedRequests;
}

export class BareNode implements BackplaneEndpoint {
  readonly path = '/fedecks';
  readonly backplane: Backplane;
  /** The executed pushes, as text, in order. */
  readonly written: string[] = [];
  /** Each reported change of health. */
  readonly health: BackplaneHealth[] = [];
  readonly failures: string[] = [];
  /** The causes of ended connections, except those ended by {@link leave}. */
  readonly ended: { readonly id: string; readonly cause: DisconnectCause['type'] }[] = [];
  /** What other nodes have announced. */
  readonly news: { readonly id: string; readonly entries: readonly QueueEntry[] }[] = [];
  /** How often the other nodes were reachable again. */
  timesReachable = 0;
  /** The reports about devices. */
  readonly reports: string[] = [];
  /** Called with each control message to a device, and with what takes its answers on that connection. */
  onControl: (id: string, control: ControlMessage, answer: AskedRequests['onAnswer']) => void = () =>
    undefined;
  /** The devices that speak protocol 1. */
  readonly old = new Set<string>();
  private readonly decisions: Duplicates;
  private readonly connections = new Map<string, Held>();
  private readonly revocations = new Revocations(TOKEN_LIFE_MS, UPGRADE_TIMEOUT_MS, { latestExpiry: 0 });

  /** @param process its simulated process, if any. */
  constructor(
    readonly duplicates: BackplaneEndpoint['duplicates'],
    factory: BackplaneFactory,
    private readonly process?: SimulatedProcess,
    clones: 'report' | 'refuse' = 'report',
  ) {
    const of = (id: string) =>
      [this.connections.get(id)].flatMap((held) =>
        held ? [{ ...held, end: () => this.endFrom('replaced', id) }] : [],
      );
    this.decisions = new Duplicates({ duplicates, clones }, { of }, ({ type, info }) =>
      this.reports.push(`${type}: ${info}`),
    );
    this.backplane = this.run(() => factory(this));
    if (this.backplane.revocations) this.revocations.useStore(this.backplane.revocations);
  }

  start(): Promise<void> {
    return this.run(() => this.backplane.start());
  }

  close(): Promise<void> {
    return this.run(async () => {
      for (const id of [...this.connections.keys()]) this.end(id, 'draining');
      await this.backplane.close();
    });
  }

  /** Connects a device with credentials, and issues a token; false if it is rejected. */
  login(id: string): Promise<BareToken | false> {
    return this.run(async () => this.admit(id, { generation: await this.revocations.generationOf(id) }));
  }

  /** Connects a device with a token, and issues a new one; false if it is rejected. */
  present(id: string, token: BareToken): Promise<BareToken | false> {
    return this.run(async () => {
      if (await this.revocations.isRevoked(id, token.generation).catch(() => true)) return false;
      return this.admit(id, token);
    });
  }

  /**
   * Opens a connection of a device without a login and without any check.
   * @param attempt a letter for the process, and the attempt number.
   */
  open(id: string, attempt?: string, hasSpoken = true): void {
    this.run(() => this.connect(id, { generation: 0 }, attemptOf(attempt), hasSpoken));
  }

  leave(id: string): void {
    this.run(() => this.end(id, 'closed_by_device'));
  }

  push(id: string, text: string): Promise<string> {
    const term = Buffer.concat([Buffer.of(131, 109, 0, 0, 0, text.length), Buffer.from(text)]);
    return this.run(() =>
      this.backplane.push(id, term).catch((error: unknown) => (error as { code: string }).code),
    );
  }

  /** Asks a device of another node, as `Fedecks.request` does. */
  request(id: string, message: Term, options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<Term> {
    return this.run(() => request(this.asking(id, message), options));
  }

  /** As `Fedecks.stream` does. */
  stream(id: string, message: Term): Observable<Term> {
    const values = stream(this.asking(id, message));
    return new Observable((subscriber) => this.run(() => values.subscribe(subscriber)));
  }

  private asking(id: string, message: Term) {
    return async (timeoutMs: number, answered: Answered): Promise<AskedRequest> => {
      const asked = await this.backplane.ask(id, message, timeoutMs, answered);
      if (!asked) throw new DeviceOfflineError(id);
      return asked;
    };
  }

  revoke(id: string): Promise<void> {
    return this.run(async () => {
      const written = this.revocations.revoke(id);
      this.endRevoked(id, Infinity);
      await written;
    });
  }

  // --- The backplane's view -----------------------------------------------------------------------------

  held(id: string): ConnectedDevice | undefined {
    return this.connections.get(id)?.device;
  }

  *all(): Iterable<ConnectedDevice> {
    for (const { device } of this.connections.values()) yield device;
  }

  write(id: string, bytes: Buffer): boolean | undefined {
    if (!this.connections.has(id)) return undefined;
    this.written.push(bytes.subarray(6).toString());
    return true;
  }

  ask(id: string, message: Term, timeoutMs: number, answered: Answered): AskedRequest | undefined {
    if (this.old.has(id)) throw new NotSupportedError(`Device '${id}'`);
    return this.connections.get(id)?.requests.ask(message, timeoutMs, answered);
  }

  disconnect(id: string): boolean {
    return this.endFrom('disconnected', id);
  }

  replace(id: string, newer: NewerConnection): CloneTrace | undefined {
    return this.decisions.replaceByOther(id, newer);
  }

  refuse(id: string, newer: NewerConnection): boolean {
    return this.decisions.refuse(id, newer);
  }

  onTrace(id: string, trace: CloneTrace): void {
    this.decisions.onTrace(id, trace);
  }

  revoked(id: string, generation: number): void {
    this.revocations.observe(id, generation);
    this.endRevoked(id, generation);
  }

  writeToAll(): void {
    // No test of bare nodes sends broadcasts.
  }

  onQueueChange(id: string, entries: readonly QueueEntry[]): void {
    this.news.push({ id, entries });
  }

  onReachable(): void {
    this.timesReachable++;
  }

  changed(health: BackplaneHealth): void {
    this.health.push(health);
  }

  failed(what: string, error: unknown): void {
    this.failures.push(`${what}: ${String(error)}`);
  }

  private async admit(id: string, token: BareToken): Promise<BareToken | false> {
    if (this.duplicates === 'oldest') {
      if (this.connections.has(id)) return false;
      const device = { id, endpoint: this.path, remoteAddress: '127.0.0.1', claims: undefined };
      if (!(await this.backplane.claim(device))) return false;
      if (this.connections.has(id)) {
        this.backplane.unclaim(id);
        return false;
      }
    }
    if (this.revocations.wasRevokedMeanwhile(id, token.generation)) {
      this.backplane.unclaim(id);
      return false;
    }
    this.connect(id, token);
    return token;
  }

  private connect(id: string, token: BareToken, attempt?: Attempt, hasSpoken = true): void {
    if (this.connections.has(id)) this.end(id, 'replaced');
    const device = {
      id,
      endpoint: this.path,
      remoteAddress: attempt ? `the address of ${attempt.process[0]}` : '127.0.0.1',
      claims: undefined,
      since: Date.now(),
      attempt,
    };
    const requests: AskedRequests = new AskedRequests((control) =>
      // A device answers after it was asked, and never within that call.
      queueMicrotask(() =>
        this.onControl(id, control, (answer) => this.run(() => requests.onAnswer(answer))),
      ),
    );
    this.connections.set(id, { device, token, askedAt: performance.now(), hasSpoken, requests });
    this.backplane.opened(device);
  }

  private endRevoked(id: string, generation: number): void {
    if ((this.connections.get(id)?.token.generation ?? Infinity) < generation) this.endFrom('revoked', id);
  }

  private endFrom(cause: 'disconnected' | 'replaced' | 'revoked', id: string): boolean {
    if (!this.connections.has(id)) return false;
    this.ended.push({ id, cause });
    this.end(id, cause);
    return true;
  }

  private end(id: string, type: DisconnectCause['type']): void {
    const held = this.connections.get(id);
    if (!held) return;
    this.connections.delete(id);
    held.requests.end();
    this.backplane.closed(held.device, { type } as DisconnectCause);
  }

  private run<T>(work: () => T): T {
    return this.process ? this.process.run(work) : work();
  }
}

function attemptOf(text: string | undefined): Attempt | undefined {
  return text === undefined ? undefined : { process: text[0]!.repeat(22), number: Number(text.slice(1)) };
}
