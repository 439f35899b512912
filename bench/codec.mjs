// Compares the term codec with JSON over Buffers, in one run. Build first: npm run build.
import { decodeTerm, encodeTerm } from '../libs/fedecks/dist/wire/index.js';

const small = { t: 'temperature', v: 21.5, at: 1700000000123, ok: true };
const nested = {
  device: 'greenhouse-north',
  readings: Array.from({ length: 14 }, (_, index) => ({
    sensor: `sensor-${index}`,
    celsius: 20 + index / 4,
    at: 1700000000123 + index,
    ok: index % 5 > 0,
    unit: 'C',
  })),
};
const text = {
  log: 'a line of log of some eighty characters, as machines write them all day long.',
  level: 'info',
};

const ROUNDS = 7;
const MS_PER_ROUND = 150;

function rate(work) {
  let runs = 0;
  const until = performance.now() + MS_PER_ROUND;
  while (performance.now() < until) for (let i = 0; i < 200; i++, runs++) work();
  return runs / MS_PER_ROUND;
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

const rows = [];
for (const [name, value] of Object.entries({ small, nested, text })) {
  const term = encodeTerm(value);
  const json = Buffer.from(JSON.stringify(value));
  const works = {
    encode: [() => encodeTerm(value), () => Buffer.from(JSON.stringify(value))],
    decode: [() => decodeTerm(term), () => JSON.parse(json.toString())],
  };
  for (const [direction, [ours, theirs]] of Object.entries(works)) {
    const rates = { ours: [], theirs: [] };
    // Interleaved, so that a slow phase of the machine affects both.
    for (let round = 0; round < ROUNDS; round++) {
      rates.theirs.push(rate(theirs));
      rates.ours.push(rate(ours));
    }
    const [a, b] = [median(rates.ours), median(rates.theirs)];
    rows.push({
      message: name,
      direction,
      'terms/ms': Math.round(a),
      'JSON/ms': Math.round(b),
      ratio: +(a / b).toFixed(2),
    });
  }
}
console.table(rows);
