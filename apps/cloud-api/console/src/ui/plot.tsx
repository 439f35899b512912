import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { axisTime, exactTime, shortNumber } from './plot-text.js';

export interface Series {
  readonly label: string;
  /** A CSS variable of the theme, as `--plot-1`. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
}

/** Both ends, in seconds since 1970. */
export type TimeRange = readonly [from: number, to: number];

interface Props {
  /** For those who cannot see it: what is plotted. */
  readonly label: string;
  /** In seconds since 1970. */
  readonly times: readonly number[];
  readonly range: TimeRange;
  readonly series: readonly Series[];
  /** In pixels. */
  readonly height?: number;
  /** Counts, and not measurements: the axis begins with zero. */
  readonly isCount?: boolean;
  /** Called with the part that the viewer has chosen; undefined: all. Without it, the plot itself shows that part. */
  readonly onChoose?: (part: TimeRange | undefined) => void;
}

/** Of an axis of counts. */
const WHOLE_STEPS = [1, 10, 100, 1_000, 10_000, 100_000].flatMap((power) => [power, 2 * power, 5 * power]);

/** Values over time. Dragging chooses a part of the range, a double click shows all again. */
export function Plot({ label, times, range, series, height = 200, isCount = false, onChoose }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const drawn = useRef<Drawn | undefined>(undefined);
  const data = [times, ...series.map(({ values }) => values)] as unknown as uPlot.AlignedData;
  const shape = series.map(({ label: name, colour }) => `${name} ${colour}`).join();

  useEffect(() => {
    if (!place.current) return undefined;
    const created = new Drawn(place.current, series, height, isCount);
    created.onChoose = onChoose;
    created.show(data, range);
    drawn.current = created;
    return () => {
      created.remove();
      drawn.current = undefined;
    };
  }, [shape, height]);
  useEffect(() => drawn.current?.show(data, range), [times, series, range]);
  useEffect(() => {
    if (drawn.current) drawn.current.onChoose = onChoose;
  }, [onChoose]);

  return <div class="plot" ref={place} role="img" aria-label={label} />;
}

/** A plot in the page. */
class Drawn {
  private readonly plot: uPlot;
  private readonly resized: ResizeObserver;
  private range: TimeRange = [0, 1];
  /** The part that the viewer has chosen. */
  private part: TimeRange | undefined;
  onChoose: Props['onChoose'];

  constructor(element: HTMLElement, series: readonly Series[], height: number, isCount: boolean) {
    const size = () => ({ width: element.clientWidth, height });
    this.plot = new uPlot({ ...size(), ...this.optionsOf(element, series, isCount) }, [[]], element);
    this.resized = new ResizeObserver(() => this.plot.setSize(size()));
    this.resized.observe(element);
  }

  show(data: uPlot.AlignedData, range: TimeRange): void {
    this.range = range;
    this.plot.setData(data, false);
    this.scale();
  }

  remove(): void {
    this.resized.disconnect();
    this.plot.destroy();
  }

  private scale(): void {
    const [min, max] = this.part ?? this.range;
    this.plot.setScale('x', { min, max });
  }

  private choose(part: TimeRange | undefined): void {
    if (this.onChoose) return this.onChoose(part);
    this.part = part;
    this.scale();
  }

  private optionsOf(
    element: HTMLElement,
    series: readonly Series[],
    isCount: boolean,
  ): Omit<uPlot.Options, 'width' | 'height'> {
    const colourOf = (name: string): string => getComputedStyle(element).getPropertyValue(name);
    const axis: uPlot.Axis = {
      stroke: () => colourOf('--quiet'),
      grid: { stroke: () => colourOf('--line'), width: 1 },
    };
    return {
      scales: isCount ? { y: { range: (_plot, _min, max) => [0, Math.max(1, 1.1 * max)] } } : {},
      axes: [
        {
          ...axis,
          size: 32,
          values: (_plot, times, _index, _space, step) => times.map((each) => axisTime(each, step)),
        },
        {
          ...axis,
          size: 60,
          values: (_plot, values) => values.map(shortNumber),
          ...(isCount && { incrs: WHOLE_STEPS }),
        },
      ],
      series: [
        { value: (_plot, seconds: number | null) => exactTime(seconds) },
        ...series.map(({ label, colour }) => ({
          label,
          stroke: () => colourOf(colour),
          width: 1.5,
          spanGaps: false,
        })),
      ],
      cursor: {
        drag: { setScale: false },
        bind: {
          dblclick: () => () => {
            this.choose(undefined);
            return null;
          },
        },
      },
      hooks: {
        setSelect: [
          (plot) => {
            const { left, width } = plot.select;
            if (width === 0) return;
            this.choose([plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')]);
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          },
        ],
      },
    };
  }
}
