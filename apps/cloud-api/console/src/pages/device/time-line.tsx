import { type Connection } from '../../types.js';
import { cloudNow } from '../../ui/clock.js';
import { countOf } from '../../ui/count.js';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** In units of the picture. */
const [WIDTH, HEIGHT] = [1_000, 24];

interface Props {
  /** The newest first. */
  readonly connections: readonly Connection[];
  /** Whether there are older ones, which are not loaded. */
  readonly hasMore: boolean;
}

/** The last day, or as much of it as is loaded, as a bar: where it is filled the device was connected. */
export function TimeLine({ connections, hasMore }: Props) {
  const now = cloudNow();
  const oldest = hasMore ? new Date(connections.at(-1)?.cameAt ?? now).getTime() : 0;
  const from = Math.max(now - DAY_MS, oldest);
  const rangeMs = Math.max(1, now - from);
  const xOf = (time: number): number => (Math.max(0, time - from) / rangeMs) * WIDTH;
  const spans = connections
    .map(
      ({ cameAt, wentAt }) =>
        [new Date(cameAt).getTime(), wentAt === null ? now : new Date(wentAt).getTime()] as const,
    )
    .filter(([, end]) => end > from);
  const connectedMs = spans.reduce((sum, [begin, end]) => sum + end - Math.max(begin, from), 0);
  const share = Math.min(100, Math.round((connectedMs / rangeMs) * 100));
  const range = from > now - DAY_MS ? `${Math.ceil(rangeMs / MINUTE_MS)} minutes` : '24 hours';
  return (
    <figure class="time-line">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Connected for ${share} % of the last ${range}, in ${countOf(spans.length, 'connection')}`}
      >
        <rect class="away" width={WIDTH} height={HEIGHT} />
        {spans.map(([begin, end]) => (
          <rect
            key={begin}
            class="here"
            x={xOf(begin)}
            width={Math.max(1, xOf(end) - xOf(begin))}
            height={HEIGHT}
          />
        ))}
      </svg>
      <figcaption class="quiet">
        The last {range}: connected for {share} %.
      </figcaption>
    </figure>
  );
}
