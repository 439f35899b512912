/** The metrics that documents, alert rules and the Grafana board name are those that the app has. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CloudMetrics } from '../src/operations/cloud-metrics.js';
import { CloudApi } from './support/cloud-api.js';

function read(path: string): string {
  return readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8');
}

let cloud: CloudApi;
let metrics: { name: string; help: string; type: string; labels: readonly string[] }[];
beforeAll(async () => {
  cloud = await CloudApi.start();
  metrics = cloud
    .get(CloudMetrics)
    .registry.getMetricsAsArray()
    .map((metric) => {
      const { name, help, type, labelNames } = metric as typeof metric & { labelNames: string[] };
      return { name, help, type: String(type), labels: labelNames };
    });
});
afterAll(() => cloud.close());

/** A name, and an expression of PromQL. */
type Query = readonly [name: string, expression: string];

function panels(): Query[] {
  const board = JSON.parse(read('deploy/grafana/dashboards/fedecks.json')) as {
    panels: { title: string; targets: { expr: string }[] }[];
  };
  return board.panels.flatMap(({ title, targets }) => targets.map(({ expr }): Query => [title, expr]));
}

function rules(): Query[] {
  const pattern = /alert: (\w+)\n +expr: (?:>-\n)?([^]*?)\n +(?:for|labels):/g;
  return [...read('deploy/alerts.yml').matchAll(pattern)].map(([, name = '', expr = '']) => [name, expr]);
}

it('finds all alert rules', () => {
  const names = rules().map(([name]) => name);
  expect(names).toHaveLength(read('deploy/alerts.yml').split('alert:').length - 1);
  for (const name of ['ManyDevicesOffline', 'DevicesFlap', 'ReconnectStorm', 'LoginsRefused'])
    expect(names).toContain(name);
});

it('has a rule and a panel for rows that are dropped, from the first one on', async () => {
  const dropped = 'cloud_database_dropped_rows_total';
  for (const queries of [rules(), panels()])
    expect(queries.filter(([, expr]) => expr.includes(dropped))).toHaveLength(1);
  // Prometheus sees no increase in a series that begins with 1.
  expect(await cloud.metric(dropped, { table: 'messages' })).toBe(0);
});

it('names only metrics and labels that exist, in alert rules and on the board', () => {
  const series = new Map<string, readonly string[]>([['up', ['job', 'instance']]]);
  for (const { name, type, labels } of metrics) {
    series.set(name, labels);
    if (type !== 'histogram') continue;
    series.set(`${name}_count`, labels);
    series.set(`${name}_sum`, labels);
    series.set(`${name}_bucket`, [...labels, 'le']);
  }
  for (const [where, expr] of [...panels(), ...rules()]) {
    const used = [...expr.matchAll(/\b(?:up|(?:fedecks|cloud|process|nodejs)_\w+)\b/g)].map(([name]) => name);
    expect([where, used.length > 0]).toEqual([where, true]);
    for (const name of used) expect([where, name, series.has(name)]).toEqual([where, name, true]);
    const known = new Set([...used.flatMap((name) => series.get(name) ?? []), 'instance', 'job']);
    const by = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/,\s*/));
    const selected = [...expr.matchAll(/[{,]\s*(\w+)\s*!?=/g)].map(([, label = '']) => label);
    for (const label of [...by, ...selected])
      expect([where, label, known.has(label)]).toEqual([where, label, true]);
  }
});

it('documents every metric, with its labels, and no other', () => {
  const documented = [...read('docs/metrics.md').matchAll(/^\| `(\w+)` +\| (\w+) +\| ([^|]*?) *\|/gm)].map(
    ([, name = '', type = '', labels = '']) => ({
      name,
      type,
      labels: labels
        .replaceAll('`', '')
        .split(/,\s*/)
        .filter((label) => label !== ''),
    }),
  );
  const sorted = <Item extends { name: string }>(items: Item[]): Item[] =>
    items.toSorted((one, other) => (one.name < other.name ? -1 : 1));
  expect(sorted(documented)).toEqual(
    sorted(metrics.map(({ name, type, labels }) => ({ name, type, labels }))),
  );
});

it('has no label with a value that a device or a person chooses', () => {
  const labels = new Set(metrics.flatMap((metric) => metric.labels));
  expect([...labels].sort()).toEqual(
    [
      ...['answer', 'cause', 'code', 'endpoint', 'handler', 'kind', 'kind', 'method', 'outcome', 'reason'],
      ...[
        'presented',
        'result',
        'space',
        'state',
        'status',
        'table',
        'type',
        'major',
        'minor',
        'patch',
        'version',
      ],
    ]
      .filter((label, index, all) => all.indexOf(label) === index)
      .sort(),
  );
});
