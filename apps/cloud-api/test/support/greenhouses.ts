import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { Database } from '../../src/database/database.js';
import { Node } from '../../src/recording/node.js';
import { type CloudApi } from './cloud-api.js';

const HOUR_MS = 3_600_000;

/** A house of each site is a device. */
const SITES = [
  { id: 'almeria', name: 'Almería', region: 'south', crop: 'tomato' },
  { id: 'antalya', name: 'Antalya', region: 'south', crop: 'pepper' },
  { id: 'fresno', name: 'Fresno', region: 'west', crop: 'strawberry' },
  { id: 'kozani', name: 'Kozani', region: 'south', crop: 'saffron' },
  { id: 'leamington', name: 'Leamington', region: 'west', crop: 'cucumber' },
  { id: 'westland', name: 'Westland', region: 'north', crop: 'orchid' },
] as const;
const HOUSES = 8;

/** The device with readings of a day, messages and connections. */
export const HERO = 'westland-3';
export const FLAPPING = 'kozani-5';
const BLOCKED = 'fresno-7';
const NEVER_SEEN = ['leamington-8', 'westland-8'];
/** Those that are away: since when, in hours, and why. */
const OFFLINE: Readonly<Record<string, readonly [number, string]>> = {
  'almeria-2': [0.2, 'connection_lost'],
  'antalya-6': [3.4, 'idle_timeout'],
  'fresno-4': [26, 'connection_lost'],
  [BLOCKED]: [71, 'disconnected'],
  'kozani-1': [8.1, 'closed_by_device'],
  'leamington-5': [0.6, 'node_lost'],
};

export const DEVICES = SITES.flatMap((site) =>
  Array.from({ length: HOUSES }, (_, index) => ({ site, house: index + 1, id: `${site.id}-${index + 1}` })),
);

/** Those that are connected, in a fleet that runs. */
export const CONNECTED = DEVICES.map(({ id }) => id).filter(
  (id) => !(id in OFFLINE) && !NEVER_SEEN.includes(id),
);

/** Fills the database with a fleet of greenhouses, as it is after some days. Nobody is connected. */
export async function fillWithGreenhouses(cloud: CloudApi): Promise<void> {
  const database = cloud.get(Database);
  await database
    .insertInto('devices')
    .values(DEVICES.map((device, index) => rowOf(device, index)))
    .execute();
  await insertConnections(cloud);
  await insertReadings(database);
  await insertMessages(database);
  await cloud.http('POST', '/api/v1/devices/kozani-1/deliveries', {
    body: JSON.stringify({ event: 'settings', payload: { telemetryIntervalMs: 30_000 } }),
  });
  await cloud.http('POST', '/api/v1/claims', {
    body: JSON.stringify({ devices: ['leamington-8'], tags: ['west', 'cucumber'] }),
  });
  await cloud.http('POST', '/api/v1/api-keys', {
    body: JSON.stringify({ name: 'grafana', role: 'viewer' }),
  });
}

/** What the database says of those that are connected, as if they were for hours. What they send next undoes it. */
export async function letHoursPass(cloud: CloudApi): Promise<void> {
  await sql`
    UPDATE devices SET state_since = now() - (1 + abs(hashtext(id)::bigint) % 700) * interval '13 minutes'
    WHERE online AND id <> ${FLAPPING}`.execute(cloud.get(Database));
}

function rowOf({ site, house, id }: (typeof DEVICES)[number], index: number) {
  const [hours, cause] = OFFLINE[id] ?? [9 + index, null];
  const since = new Date(Date.now() - hours * HOUR_MS);
  const isSeen = !NEVER_SEEN.includes(id);
  return {
    id,
    name: `${site.name}, house ${house}`,
    tags: [site.region, site.crop, ...(house === 1 ? ['pilot'] : [])],
    notes:
      id === HERO
        ? 'The sensor above the door was replaced in March. Ask Anna before a restart at night.'
        : '',
    blocked: id === BLOCKED,
    ...(isSeen && {
      first_seen_at: new Date(Date.now() - (2_000 + 31 * index) * HOUR_MS),
      last_seen_at: since,
      state_since: since,
      offline_cause: cause ?? 'connection_lost',
      address: `192.0.2.${index + 10}`,
      agent_version: house % 3 === 0 ? '1.4.2' : '1.4.1',
      hello: JSON.stringify({
        version: '1.4.1',
        nodeVersion: 'v22.11.0',
        settings: { telemetryIntervalMs: 60_000, logLevel: 'log' },
      }),
    }),
  };
}

async function insertConnections(cloud: CloudApi): Promise<void> {
  const { id: node_id } = cloud.get(Node);
  const row = (device_id: string, beginHours: number, endHours: number, cause: string) => ({
    device_id,
    came_at: new Date(Date.now() - beginHours * HOUR_MS),
    went_at: new Date(Date.now() - endHours * HOUR_MS),
    cause,
    code: cause === 'closed_by_device' ? 1000 : 1006,
    address: '192.0.2.52',
    node_id,
  });
  const rows = [
    row(HERO, 60, 22, 'draining'),
    row(HERO, 21.9, 15.2, 'connection_lost'),
    row(HERO, 14.7, 5.5, 'idle_timeout'),
    row(HERO, 5.4, 0.01, 'closed_by_device'),
    ...[9, 7.5, 6, 4.5, 3, 1.5].map((minutes) =>
      row(FLAPPING, minutes / 60, (minutes - 0.8) / 60, 'connection_lost'),
    ),
    ...Object.entries(OFFLINE).map(([id, [hours, cause]]) => row(id, hours + 30, hours, cause)),
  ];
  await cloud.get(Database).insertInto('connections').values(rows).execute();
}

/** A day: it is warm at noon, and colder and wetter at night. */
async function insertReadings(database: Database): Promise<void> {
  await sql`
    INSERT INTO readings (device_id, metric, at, value)
    SELECT ${HERO}, metric, at, round((base + swing * sin(extract(epoch FROM at) / 86400 * 2 * pi() - 2)
      + noise * (sin(extract(epoch FROM at) / 2900) + sin(extract(epoch FROM at) / 1300) + random()))::numeric, 2)
    FROM generate_series(date_trunc('minute', now()) - interval '1 day', now(), '1 minute') AS at,
      (VALUES ('temperatureCelsius', 21.4, 5.2, 0.45), ('humidityPercent', 68, -11, 1.3), ('batteryVolts', 3.71, 0.12, 0.01),
        ('co2Ppm', 640, -180, 14)) AS metrics (metric, base, swing, noise)`.execute(database);
  await sql`
    INSERT INTO readings_by_minute (device_id, metric, at, min, max, sum, count)
    SELECT device_id, metric, at, value - 0.1, value + 0.1, value, 1 FROM readings`.execute(database);
}

async function insertMessages(database: Database): Promise<void> {
  const at = (minutes: number): Date => new Date(Date.now() - minutes * 60_000);
  const up = (minutes: number, event: string, body: unknown) => ({
    device_id: HERO,
    at: at(minutes),
    direction: 'up' as const,
    event,
    body: JSON.stringify(body),
  });
  const telemetry = Array.from({ length: 12 }, (_, minute) =>
    up(12 - minute, 'telemetry', {
      temperatureCelsius: 24.1 + minute / 10,
      humidityPercent: 61,
      co2Ppm: 655 - minute,
    }),
  );
  const asked = { ...up(13, 'vent', { open: true }), direction: 'down' as const };
  const rows = [
    up(20, 'door', { open: false }),
    asked,
    up(12.9, 'vent_moved', { percent: 35 }),
    ...telemetry,
  ];
  await database.insertInto('messages').values(rows).execute();
}

/** Of a device whose id, name, tags, metric and messages are as long as they may be: nothing makes a page wider. */
export async function insertWideDevice(database: Database, id: string): Promise<void> {
  const long = 'x'.repeat(64);
  const tags = Array.from({ length: 20 }, (_, index) => `${long.slice(3)}${index}`);
  await database
    .insertInto('devices')
    .values({ id, name: long.repeat(2), tags, agent_version: long })
    .execute();
  const at = new Date();
  await database.insertInto('readings').values({ device_id: id, metric: long, at, value: 1e300 }).execute();
  const body = JSON.stringify({ [long]: long.repeat(4) });
  await database
    .insertInto('messages')
    .values({ device_id: id, at, direction: 'up', event: long, body })
    .execute();
  const entry = {
    actor: long,
    actor_kind: 'operator',
    address: '::1',
    action: 'device.block',
    target: id,
    status: 200,
  };
  await database
    .insertInto('audit')
    .values({ ...entry, details: body })
    .execute();
  const gone = {
    came_at: at,
    went_at: at,
    cause: long,
    code: 1006,
    address: `${long}:1`,
    node_id: randomUUID(),
  };
  await database
    .insertInto('connections')
    .values({ device_id: id, ...gone })
    .execute();
}
