import { type Term } from '@fedecks/nest/wire';
import { Collector, type Sensor } from './collector.js';

const good: Sensor = async () => ({ uptimeS: 7 });
const circular: Record<string, Term> = {};
circular['itself'] = circular;

describe('Collector', () => {
  it('collects the readings of all sensors', async () => {
    const collector = new Collector({ good, other: async () => ({ loadAverages: [1, 2, 3] }) });
    expect(await collector.collect()).toEqual({ uptimeS: 7, loadAverages: [1, 2, 3] });
  });

  it.each<[string, Sensor]>([
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- Some libraries do.
    ['rejects with a value that is not an Error', () => Promise.reject('broken')],
    ['hangs', () => new Promise(() => undefined)],
    ['returns NaN', async () => ({ celsius: NaN })],
    ['returns Infinity', async () => ({ celsius: Infinity })],
    ['returns a cyclic object', async () => circular],
    ['returns a function', async () => ({ celsius: (() => 21) as unknown as Term })],
    ['returns undefined', async () => undefined as never],
  ])('omits a sensor that %s, and reports which', async (_what, bad) => {
    const failed: string[] = [];
    const collector = new Collector({ bad, good }, 20);
    expect(await collector.collect((sensor) => failed.push(sensor))).toEqual({ uptimeS: 7 });
    expect(failed).toEqual(_what === 'returns undefined' ? [] : ['bad']);
  });

  it('does not read a hanging sensor again until it has answered', async () => {
    let asked = 0;
    let answer = (): void => undefined;
    const slow: Sensor = () => {
      asked++;
      return new Promise((resolve) => (answer = () => resolve({ celsius: 21 })));
    };
    const collector = new Collector({ slow, good }, 20);
    for (let times = 0; times < 3; times++) expect(await collector.collect()).toEqual({ uptimeS: 7 });
    expect(asked).toBe(1);
    answer();
    await new Promise(setImmediate);
    const next = collector.collect();
    await new Promise(setImmediate);
    expect(asked).toBe(2);
    answer();
    expect(await next).toEqual({ uptimeS: 7, celsius: 21 });
  });

  it('leaves no timer', async () => {
    const before = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    await new Collector({ good }, 60_000).collect();
    expect(process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout')).toHaveLength(before);
  });
});
