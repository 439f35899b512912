import { useMemo } from 'preact/hooks';
import { api, path, query } from '../../api.js';
import { useLoaded } from '../../hooks/use-loaded.js';
import { useParameter } from '../../hooks/use-parameter.js';
import { type Metric, type Readings as Answer } from '../../types.js';
import { Empty } from '../../ui/empty.js';
import { Choice, TextField } from '../../ui/fields.js';
import { Loading } from '../../ui/loading.js';
import { Plot, type TimeRange } from '../../ui/plot.js';
import { shortNumber } from '../../ui/plot-text.js';
import { Table } from '../../ui/table.js';
import { Time } from '../../ui/time.js';

const HOUR = '3600000';
const RANGES = [
  ['900000', '15 minutes'],
  [HOUR, '1 hour'],
  ['86400000', '1 day'],
  ['604800000', '1 week'],
  ['2592000000', '30 days'],
  ['31536000000', '1 year'],
] as const;
const REFRESH_MS = 5_000;
/** A shorter part is a click, in seconds. */
const SHORTEST_S = 1;

/** What the device measures, over a range that the viewer chooses. */
export function Readings({ id }: { readonly id: string }) {
  const metrics = useLoaded(
    (signal) => api<{ items: readonly Metric[] }>('GET', path`devices/${id}/metrics`, undefined, signal),
    [id],
    REFRESH_MS,
  );
  return (
    <Loading of={metrics}>
      {({ items }) =>
        items.length === 0 ? (
          <Empty title="No reading yet">Numbers in the event “telemetry” of the device appear here.</Empty>
        ) : (
          <Metrics id={id} metrics={items} />
        )
      }
    </Loading>
  );
}

function Metrics({ id, metrics }: { readonly id: string; readonly metrics: readonly Metric[] }) {
  const [metric, setMetric] = useParameter('metric', metrics[0]?.metric);
  const [rangeMs, setRangeMs] = useParameter('range', HOUR);
  const [until, setUntil] = useParameter('until');
  const [partText, setPartText] = useParameter('part');
  const part = useMemo(() => partIn(partText), [partText]);
  /** Of another range, the part means nothing. */
  const whole = (set: (value: string) => void) => (value: string) => {
    setPartText('');
    set(value);
  };
  return (
    <>
      <div class="row filter">
        <Choice
          label="Metric"
          value={metric}
          options={metrics.map(({ metric: name }) => [name, name])}
          onChange={setMetric}
        />
        <Choice label="The last" value={rangeMs} options={RANGES} onChange={whole(setRangeMs)} />
        <TextField label="Until, if not now" type="datetime-local" value={until} onChange={whole(setUntil)} />
      </div>
      <Part part={part} onWhole={() => setPartText('')} />
      <MetricPlot
        id={id}
        metric={metric}
        rangeMs={Number(rangeMs)}
        until={until}
        part={part}
        onChoose={(next) => setPartText(next ? textOf(next) : '')}
      />
      <Table
        caption="Last values"
        rows={metrics}
        keyOf={({ metric: name }) => name}
        columns={[
          { title: 'Metric', cell: ({ metric: name }) => name },
          {
            title: 'Last value',
            cell: ({ value }) => <span title={String(value)}>{shortNumber(value)}</span>,
          },
          { title: 'At', cell: ({ at }) => <Time at={at} /> },
        ]}
      />
    </>
  );
}

/** Which part of the range is shown. */
function Part({ part, onWhole }: { readonly part: TimeRange | undefined; readonly onWhole: () => void }) {
  if (!part) return <p class="quiet below">Drag over the plot to see a part of it more closely.</p>;
  const [from, to] = part.map((seconds) => new Date(seconds * 1_000).toISOString());
  return (
    <p class="row below">
      <span>
        From <Time at={from} /> to <Time at={to} />
      </span>
      <button type="button" onClick={onWhole}>
        Show all of the range
      </button>
    </p>
  );
}

/** The part in the address, as two times in UTC. */
function partIn(text: string): TimeRange | undefined {
  const [from = NaN, to = NaN] = text.split('/').map((time) => Date.parse(time) / 1_000);
  return to - from >= SHORTEST_S ? [from, to] : undefined;
}

function textOf(part: TimeRange): string {
  return part.map((seconds) => new Date(seconds * 1_000).toISOString()).join('/');
}

interface PlotProps {
  readonly id: string;
  readonly metric: string;
  readonly rangeMs: number;
  /** In the zone of the viewer, without it; empty: now. */
  readonly until: string;
  /** Instead of the whole range. */
  readonly part: TimeRange | undefined;
  readonly onChoose: (part: TimeRange | undefined) => void;
}

function MetricPlot({ id, metric, rangeMs, until, part, onChoose }: PlotProps) {
  const readings = useLoaded(
    async (signal) => {
      const end = until === '' ? Date.now() : new Date(until).getTime();
      const range = part ?? ([(end - rangeMs) / 1_000, end / 1_000] as const);
      const [from, to] = range.map((seconds) => new Date(seconds * 1_000).toISOString());
      const asked = { metric, from, to };
      const asking = `${path`devices/${id}/readings`}${query(asked)}`;
      const { points } = await api<Answer>('GET', asking, undefined, signal);
      return { points, range };
    },
    [id, metric, rangeMs, until, part],
    until === '' && !part ? REFRESH_MS : undefined,
  );
  return (
    <Loading of={readings}>
      {(found) => <PointsPlot metric={metric} {...found} onChoose={onChoose} />}
    </Loading>
  );
}

interface PointsProps extends Pick<Answer, 'metric' | 'points'> {
  readonly range: TimeRange;
  readonly onChoose: PlotProps['onChoose'];
}

function PointsPlot({ metric, points, range, onChoose }: PointsProps) {
  const [times, series] = useMemo(
    () => [
      points.map(({ at }) => new Date(at).getTime() / 1_000),
      [
        { label: 'min', colour: '--plot-2', values: points.map(({ min }) => min) },
        { label: 'mean', colour: '--plot-1', values: points.map(({ avg }) => avg) },
        { label: 'max', colour: '--plot-3', values: points.map(({ max }) => max) },
      ],
    ],
    [points],
  );
  return (
    <div data-points={points.length}>
      {points.length === 0 && <p class="quiet">Nothing was measured in this time: choose another range.</p>}
      <Plot
        label={`${metric}: ${points.length} points, the last ${points.at(-1)?.avg ?? 'none'}`}
        times={times}
        range={range}
        series={series}
        height={280}
        onChoose={onChoose}
      />
    </div>
  );
}
