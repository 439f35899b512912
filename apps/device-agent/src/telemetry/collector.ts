import { encodeTerm, type Term } from '@fedecks/nest/wire';

/** Takes measurements that belong together. */
export type Sensor = () => Promise<Readonly<Record<string, Term>>>;

/** How the device fares, by the names of cloud-api's `TelemetryDto`. */
export type Telemetry = Record<string, Term>;

/** How long a sensor may take. */
const LIMIT_MS = 2_000;

/**
 * Takes all measurements concurrently. Sensors are isolated: one that fails, times out or
 * returns an invalid term is omitted, and a hanging one is not read again until it has answered.
 */
export class Collector {
  private readonly asked = new Set<string>();

  constructor(
    private readonly sensors: Readonly<Record<string, Sensor>>,
    private readonly limitMs = LIMIT_MS,
  ) {}

  /** Never rejects. @param failed is told which sensors were left out, and why. */
  async collect(failed: (sensor: string, reason: string) => void = () => undefined): Promise<Telemetry> {
    const readings = await Promise.all(
      Object.entries(this.sensors).map(async ([name, sensor]) => {
        try {
          return await this.ask(name, sensor);
        } catch (error) {
          failed(name, error instanceof Error ? error.message : String(error));
          return {};
        }
      }),
    );
    return Object.assign({}, ...readings) as Telemetry;
  }

  private async ask(name: string, sensor: Sensor): Promise<Telemetry> {
    if (this.asked.has(name)) throw new Error('no answer to the previous reading yet');
    this.asked.add(name);
    let timer: NodeJS.Timeout | undefined;
    // In a turn of its own, so that one that throws at once is like one that rejects.
    const answer = Promise.resolve().then(sensor);
    const settled = (): boolean => this.asked.delete(name);
    answer.then(settled, settled);
    try {
      const late = new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${this.limitMs} ms`)), this.limitMs);
      });
      const reading = await Promise.race([answer, late]);
      // A report that cannot be encoded would be lost whole.
      encodeTerm(reading);
      return reading;
    } finally {
      clearTimeout(timer);
    }
  }
}
