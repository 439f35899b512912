/**
 * Fleets of bare nodes with one interface for two kinds of link: in memory, with simulated time and a seed that decides
 * the order of events, and a real nats-server.
 *
 *     for (const { name, run } of BARE_FLEETS) it(`... ${name}`, () => run(seed, async (fleet) => {
 *       const [one, two] = [await fleet.node(), await fleet.node()];
 *       fleet.cut(one);
 *       await fleet.sleep(1_000);
 *     }));
 */
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { jetstreamManager } from '@nats-io/jetstream';
import { natsBackplane } from '@fedecks/nest/nats';
import { ClusterBackplane, type ClusterOptions } from '../../src/cluster/index.js';
import { BareNode } from './bare-node.js';
import { HoldingProxy } from './holding-proxy.js';
import { MemoryCluster, type MemoryFaults, type MemoryNode } from './memory-cluster.js';
import { NatsServer } from './nats-server.js';
import { seeded } from './seeded.js';
import { simulate } from './simulation.js';

export interface BareNodeOptions {
  readonly duplicates?: 'newest' | 'oldest' | 'allow';
  readonly clones?: 'report' | 'refuse';
  readonly heartbeatMs?: number;
  readonly requestTimeoutMs?: number;
}

export interface BareFleet {
  /** Random numbers that depend on the seed of the fleet only. */
  readonly random: () => number;
  /** Starts a node. */
  node(options?: BareNodeOptions): Promise<BareNode>;
  sleep(ms: number): Promise<void>;
  /** Resets its connection, and allows none until `restore`. */
  cut(node: BareNode): void;
  restore(node: BareNode): void;
  /** Freezes it, as SIGSTOP does, until it resumes with everything that waited. */
  pause(node: BareNode): void;
  resume(node: BareNode): void;
  /** Holds what the node sends ('up') or receives ('down'). */
  hold(node: BareNode, direction: 'up' | 'down'): void;
  release(node: BareNode, direction: 'up' | 'down'): void;
  /** Stops the store from answering until it resumes. */
  stall(): Promise<void>;
  goOn(): void;
  /** Deletes the buckets; connections stay open if possible. */
  deleteBuckets(): Promise<void>;
  /** Deletes all stored data, as a restart without files does. */
  loseFiles(): Promise<void>;
  /** Ends all watches, some of them without an error. */
  endWatches(): Promise<void>;
  /** Sets the wall clock of a node, if the fleet supports it. */
  setClock?(node: BareNode, aheadMs: number): void;
}

export interface BareFleetKind {
  readonly name: string;
  /** The number of seeds per test. In memory, `HISTORIES=1000` runs so many. */
  readonly histories: number;
  /** Whether it supports `setClock`. */
  readonly hasClocks: boolean;
  run(seed: number, test: (fleet: BareFleet) => Promise<void>, faults?: MemoryFaults): Promise<void>;
}

const DEFAULTS = { duplicates: 'newest', heartbeatMs: 500, requestTimeoutMs: 1_000 } as const;

const IN_MEMORY: BareFleetKind = {
  name: 'in memory',
  histories: Number(process.env['HISTORIES'] ?? 30),
  hasClocks: true,
  run: (seed, test, faults) =>
    simulate(seed, async (simulation) => {
      const cluster = new MemoryCluster(simulation, {
        requestTimeoutMs: DEFAULTS.requestTimeoutMs,
        ...faults,
      });
      const members = new Map<BareNode, MemoryNode>();
      const memberOf = (node: BareNode): MemoryNode => members.get(node)!;
      const fleet: BareFleet = {
        random: simulation.random,
        sleep,
        node: async (given) => {
          const { duplicates, clones, ...own } = { ...DEFAULTS, ...given };
          const member = cluster.join();
          const options: ClusterOptions = {
            namespace: 'fleet',
            presenceRetentionMs: 30 * 24 * 3_600_000,
            maxPending: 10_000,
            maxPendingBytes: 64 * 1024 * 1024,
            ...own,
          };
          const { link, store, process } = member;
          const name = `node-${members.size}`;
          const node = new BareNode(
            duplicates,
            (endpoint) => new ClusterBackplane(name, link, store, options, endpoint),
            process,
            clones,
          );
          members.set(node, member);
          await node.start();
          return node;
        },
        cut: (node) => memberOf(node).link.cut(),
        restore: (node) => memberOf(node).link.restore(),
        pause: (node) => memberOf(node).process.pause(),
        resume: (node) => memberOf(node).process.resume(),
        hold: (node, direction) => memberOf(node).link.hold(direction),
        release: (node, direction) => memberOf(node).link.release(direction),
        stall: async () => cluster.stall(),
        goOn: () => cluster.goOn(),
        deleteBuckets: async () => cluster.lose(),
        loseFiles: async () => {
          for (const link of cluster.links) link.cut();
          cluster.lose();
          await sleep(100);
          for (const link of cluster.links) link.restore();
        },
        endWatches: async () => cluster.endWatches(),
        setClock: (node, aheadMs) => (memberOf(node).process.clockAheadMs = aheadMs),
      };
      await test(fleet);
      await Promise.all([...members.keys()].map((node) => node.close()));
    }),
};

const ON_NATS: BareFleetKind = {
  name: 'on NATS',
  histories: 1,
  hasClocks: false,
  run: async (seed, test) => {
    const nats = await NatsServer.start();
    const proxies = new Map<BareNode, HoldingProxy>();
    const proxyOf = (node: BareNode): HoldingProxy => proxies.get(node)!;
    let manager: NatsConnection | undefined;
    const streams = async () => {
      manager ??= await connect({ servers: nats.url });
      return jetstreamManager(manager);
    };
    const fleet: BareFleet = {
      random: seeded(seed),
      sleep,
      node: async (given) => {
        const { duplicates, clones, ...options } = { ...DEFAULTS, ...given };
        const proxy = await HoldingProxy.to(Number(new URL(nats.url).port));
        const node = new BareNode(
          duplicates,
          natsBackplane({ servers: proxy.url, ...options }),
          undefined,
          clones,
        );
        proxies.set(node, proxy);
        await node.start();
        return node;
      },
      cut: (node) => proxyOf(node).cut(),
      restore: (node) => proxyOf(node).restore(),
      pause: (node) => {
        proxyOf(node).hold('up');
        proxyOf(node).hold('down');
      },
      resume: (node) => {
        proxyOf(node).release('up');
        proxyOf(node).release('down');
      },
      hold: (node, direction) => proxyOf(node).hold(direction),
      release: (node, direction) => proxyOf(node).release(direction),
      stall: () => nats.freeze(),
      goOn: () => nats.thaw(),
      deleteBuckets: async () => {
        const { streams: found } = await streams();
        for await (const name of found.names()) await found.delete(name);
      },
      loseFiles: async () => {
        await manager?.close();
        manager = undefined;
        await nats.loseFiles();
      },
      endWatches: async () => {
        const { streams: found, consumers } = await streams();
        for await (const stream of found.names())
          for await (const { name } of consumers.list(stream)) await consumers.delete(stream, name);
      },
    };
    try {
      await test(fleet);
    } finally {
      nats.thaw();
      await Promise.all([...proxies.keys()].map((node) => node.close()));
      await Promise.all([...proxies.values()].map((proxy) => proxy.close()));
      await manager?.close();
      await nats.close();
    }
  },
};

export const BARE_FLEETS: readonly BareFleetKind[] = [IN_MEMORY, ON_NATS];

async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
