import { useMemo, useState } from 'preact/hooks';
import { type LiveEvent, type LiveHistory, type Rates } from '../../live/live.js';
import { cloudNow } from '../../ui/clock.js';
import { Plot, type Series, type TimeRange } from '../../ui/plot.js';
import { causeText } from '../../ui/state.js';

/** So many seconds are plotted. */
const MAX_RATES = 300;
/** In pixels, so that a laptop also shows what is below the plots. */
const HEIGHT = 130;
const COLOURS = ['--plot-1', '--plot-2', '--plot-3', '--plot-4'] as const;

/** What this node did in the last seconds, the oldest first. */
export function useRates() {
  const [items, setItems] = useState<readonly Rates[]>([]);
  const onHistory = ({ rates }: LiveHistory): void => setItems(rates);
  const onEvent = ({ event, data }: LiveEvent): void => {
    if (event === 'rates') setItems((before) => [...before, data as Rates].slice(-MAX_RATES));
  };
  return { items, onHistory, onEvent };
}

type Line = readonly [name: string, valueOf: (rates: Rates) => number];

/** How busy the node is. */
export function RatePlots({ rates }: { readonly rates: readonly Rates[] }) {
  return (
    <div class="cards">
      <RatePlot
        title="Messages a second, at this node"
        label="Messages received and sent in each of the last seconds"
        rates={rates}
        lines={[
          ['received', ({ received }) => received],
          ['sent', ({ sent }) => sent],
        ]}
      />
      <RatePlot
        title="Connections opened a second, at this node"
        label="Connections opened in each of the last seconds"
        rates={rates}
        lines={[['opened', ({ connects }) => connects]]}
      />
      <RatePlot
        title="Connections closed a second, at this node"
        label="Connections closed in each of the last seconds, by reason"
        rates={rates}
        lines={linesOfCauses(rates)}
      />
      <RatePlot
        title="Requests and deliveries a second, at this node"
        label="Requests to devices, and changes of deliveries, in each of the last seconds"
        rates={rates}
        lines={[
          ['requests', ({ requests }) => requests],
          ['deliveries', ({ deliveries }) => deliveries],
        ]}
      />
    </div>
  );
}

interface Props {
  readonly title: string;
  readonly label: string;
  readonly rates: readonly Rates[];
  readonly lines: readonly Line[];
}

function RatePlot({ title, label, rates, lines }: Props) {
  const [times, range, series] = useMemo(
    () => [
      rates.map(({ at }) => at / 1_000),
      lastSeconds(rates.at(-1)?.at ?? cloudNow()),
      lines.map(([name, valueOf], index): Series => ({
        label: name,
        colour: COLOURS[index] ?? COLOURS[0],
        values: rates.map(valueOf),
      })),
    ],
    [rates],
  );
  return (
    <section class="card">
      <h2>{title}</h2>
      <Plot label={label} times={times} range={range} series={series} height={HEIGHT} isCount />
    </section>
  );
}

/** The range that ends with this time, in milliseconds. */
function lastSeconds(end: number): TimeRange {
  return [end / 1_000 - MAX_RATES, end / 1_000];
}

/** A line for each of the most frequent causes, and one for the others. */
function linesOfCauses(rates: readonly Rates[]): readonly Line[] {
  const totals = new Map<string, number>();
  for (const { closes } of rates)
    for (const [cause, count] of Object.entries(closes)) totals.set(cause, (totals.get(cause) ?? 0) + count);
  const causes = [...totals].sort(([, one], [, other]) => other - one).map(([cause]) => cause);
  const count = causes.length > COLOURS.length ? COLOURS.length - 1 : causes.length;
  // In an order that stays.
  const shown = causes.slice(0, count).sort();
  const others = causes.slice(count);
  return [
    ...shown.map((cause): Line => [causeText(cause), ({ closes }) => closes[cause] ?? 0]),
    ...(others.length > 0 ? [['others', ({ closes }) => sumOf(closes, others)] satisfies Line] : []),
    ...(causes.length === 0 ? [['closed', () => 0] satisfies Line] : []),
  ];
}

function sumOf(closes: Rates['closes'], causes: readonly string[]): number {
  return causes.reduce((sum, cause) => sum + (closes[cause] ?? 0), 0);
}
