import { statfs } from 'node:fs/promises';
import { loadavg, uptime } from 'node:os';
import { type FedecksClient } from '@fedecks/nest/client-nest';
import { type MonitorResult, type OSUtils } from 'node-os-utils';
import { type Sensor } from './collector.js';

/**
 * What an agent measures, by its name; nothing of it starts a process or reads a file synchronously, so that a sensor
 * that hangs holds up nobody. That is why it is node-os-utils: systeminformation, which knows more machines, runs shells
 * for the temperature and waits for them. One call each, load, uptime and disk are Node's own.
 *
 * @param disk a path on the file system whose size is told.
 */
export function sensors(disk: string): Record<string, Sensor> {
  let loading: Promise<OSUtils> | undefined;
  // Loaded on first use, to start faster.
  const machine = (): Promise<OSUtils> => (loading ??= load());
  return {
    load: async () => ({ loadAverages: loadavg() }),
    uptime: async () => ({ uptimeS: Math.round(uptime()) }),
    memory: async () => {
      const { total, free, available } = told(await (await machine()).memory.info());
      return {
        memoryTotalBytes: total.toBytes(),
        memoryFreeBytes: free.toBytes(),
        memoryAvailableBytes: available.toBytes(),
      };
    },
    disk: async () => {
      const { bsize, blocks, bavail } = await statfs(disk);
      return { diskTotalBytes: blocks * bsize, diskFreeBytes: bavail * bsize };
    },
    temperature: async (): Promise<Record<string, number>> => {
      const { cpu } = await machine();
      const readings = await cpu.temperature().then(told).catch(noneIfAbsent);
      return readings.length === 0 ? {} : { temperatureCelsius: Math.max(...readings) };
    },
    network: async () => {
      const counts = told(await (await machine()).network.statsAsync()).filter(
        ({ interface: name }) => name !== 'lo',
      );
      const sum = (of: 'rxBytes' | 'txBytes'): number =>
        counts.reduce((total, count) => total + count[of].toBytes(), 0);
      return { networkReceivedBytes: sum('rxBytes'), networkSentBytes: sum('txBytes') };
    },
  };
}

async function load(): Promise<OSUtils> {
  const { OSUtils } = await import('node-os-utils');
  return new OSUtils({ cacheEnabled: false, cpu: { includeTemperature: true } });
}

/** What waits in the outbox, and what it has lost since the agent started. */
export function outboxSensor(client: Pick<FedecksClient, 'outbox'>): Sensor {
  return async () => {
    const { size, bytes, losses } = client.outbox;
    return { outbox: { size, bytes, losses: { ...losses } } };
  };
}

/** That a machine has no sensors, as most virtual ones, is nothing to warn of. */
function noneIfAbsent(error: { readonly details?: { readonly code?: unknown } }): [] {
  if (error.details?.code === 'PLATFORM_NOT_SUPPORTED') return [];
  throw error as Error;
}

function told<T>(answer: MonitorResult<T>): T {
  if (!answer.success) throw answer.error;
  return answer.data;
}
