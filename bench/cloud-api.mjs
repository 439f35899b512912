// How long the HTTP API of apps/cloud-api takes with 10,000 devices and 1,000,000 readings in the database.
//   npm run build && DATABASE_URL=postgres://postgres@127.0.0.1:5432/bench node bench/cloud-api.mjs
// The database must be empty: the app makes its tables in it, and this script fills them.
import { API_KEY, DEVICES, fill, startCloudApi } from './cloud-api-process.mjs';

const ROUNDS = 200;
const { origin } = await startCloudApi();

await fill(`${DEVICES}
  INSERT INTO connections (device_id, came_at, went_at, cause, code, node_id, address)
  SELECT 'device-' || n % 10000 + 1, now() - n * interval '20 seconds', now() - n * interval '19 seconds', 'connection_lost',
    1006, '00000000-0000-4000-8000-000000000000', '192.0.2.1' FROM generate_series(1, 200000) AS n;
  INSERT INTO readings (device_id, metric, at, value)
  SELECT 'device-' || d, 'temperatureCelsius', date_trunc('minute', now()) - m * interval '1 minute', 20 + m % 10
  FROM generate_series(1, 694) AS d, generate_series(1, 1440) AS m;
  INSERT INTO readings_by_minute SELECT device_id, metric, date_trunc('minute', at), min(value), max(value), sum(value), count(*)
  FROM readings GROUP BY 1, 2, 3;`);

const PATHS = {
  'the list': 'devices?limit=100',
  'search and tag': 'devices?search=house 12&tag=north&limit=100',
  'offline, newest first': 'devices?state=offline&sort=-stateSince&limit=100',
  flapping: 'devices?state=flapping',
  'the overview': 'overview',
  'one device': 'devices/device-7',
  'a day of readings, by 5 min': 'devices/device-7/readings?metric=temperatureCelsius',
  'a day of readings, by 1 min': 'devices/device-7/readings?metric=temperatureCelsius&step=60000',
};
console.log('ms                             p50     p95     max');
for (const [name, path] of Object.entries(PATHS)) {
  const times = [];
  for (let round = 0; round < ROUNDS + 20; round++) {
    const begin = performance.now();
    const response = await fetch(`${origin}/api/v1/${path}`, { headers: { 'x-api-key': API_KEY } });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    // The first warm up.
    if (round >= 20) times.push(performance.now() - begin);
  }
  times.sort((a, b) => a - b);
  const shown = [0.5, 0.95, 1].map((share) => times[Math.ceil(share * ROUNDS) - 1].toFixed(1).padStart(7));
  console.log(`${name.padEnd(28)} ${shown.join(' ')}`);
}
process.exit(0);
