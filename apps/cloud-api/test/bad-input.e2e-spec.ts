import { once } from 'node:events';
import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { Database } from '../src/database/database.js';
import { API_KEY, CloudApi } from './support/cloud-api.js';
import { type Operation, operationsOf } from './support/operations.js';

const DEVICE = 'greenhouse-1';
/** How many operations are tested at the same time. */
const AT_ONCE = 8;
/** Thousands of requests: `fetch` takes several times the work for each. */
const agent = new Agent({
  keepAlive: true,
  // The server closes a connection that is idle for 5 s: a request that was sent just then would fail.
  timeout: 2_000,
});
/** What the answers of these may be, besides 4xx and 2xx: a device or the database that does not answer. */
const DOCUMENTED = [501, 502, 503, 504];

/** Of any type that a field is not, too long, or dangerous somewhere. */
const STRINGS = [
  '',
  ' ',
  '0',
  '-1',
  '1e400',
  '99999999999999999999',
  'NaN',
  'null',
  'true',
  'x'.repeat(5_000),
  '\0',
  'a\0b',
  '\u202e\u2066ä💥',
  '\ufeff',
  "' OR 1=1; DROP TABLE devices; --",
  '%',
  '\\',
  '$1',
  '{}',
  '__proto__',
  'constructor',
  '../../etc/passwd',
  '${7*7}',
  '<script>alert(1)</script>',
  '-infinity',
  '0000-00-00T00:00:00Z',
  '2026-02-31T25:61:61Z',
];
const VALUES: readonly unknown[] = [
  ...STRINGS,
  '\ud800',
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  true,
  null,
  [],
  [[]],
  {},
  { length: 3 },
  ['a', 'a'],
  ['\0'],
  [null],
  Array.from({ length: 2_000 }, String),
  { toString: 'x', __proto__: null },
  nested(40),
];
/** Where a field is expected to be named: of no type that any field has. */
const NO_FIELD_TAKES = [{ no: { such: 'value' } }, 'x'.repeat(20_000), '\0'];

function nested(depth: number): unknown {
  return depth === 0 ? 1 : { a: nested(depth - 1) };
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

let cloud: CloudApi;
let operations: readonly Operation[];

beforeAll(async () => {
  cloud = await CloudApi.start({ operations: { requestsPerMinute: 1_000_000 } });
  await cloud
    .get(Database)
    .insertInto('devices')
    .values({ id: DEVICE })
    .onConflict((c) => c.doNothing())
    .execute();
  operations = await operationsOf(cloud);
}, 60_000);
afterAll(async () => {
  agent.destroy();
  await cloud.close();
});

/** The path for a device, a delivery or whatever else there is none of: nothing that is there is changed for long. */
function pathOf({ path }: Operation, id = 'unknown'): string {
  return path.replaceAll(/\{\w+\}/g, encodeURIComponent(id));
}

async function send(
  method: string,
  path: string,
  body?: string,
  contentType = 'application/json',
): Promise<Answer> {
  const headers = {
    'x-api-key': API_KEY,
    ...(body !== undefined && {
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
    }),
  };
  const request = httpRequest({ host: '127.0.0.1', port: cloud.port, method, path, headers, agent });
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let text = '';
  response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  await once(response, 'end');
  return { status: response.statusCode!, text };
}

/** Sends what a client of HTTP would not. */
async function sendRaw(method: string, path: string, headers: string, body = ''): Promise<Answer> {
  const socket = connect(cloud.port, '127.0.0.1');
  socket.on('error', () => undefined);
  const length = Buffer.byteLength(body);
  socket.write(
    `${method} ${path} HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${API_KEY}\r\nConnection: close\r\n${headers}` +
      `Content-Length: ${length}\r\n\r\n${body}`,
  );
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(socket, 'close');
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]), text };
}

/** Adds to `problems` unless the answer is one that bad input may have. */
function check(problems: string[], what: string, { status, text }: Answer): void {
  const isRight = (status >= 200 && status < 300) || (status >= 400 && status < 500);
  if (!isRight && !DOCUMENTED.includes(status)) problems.push(`${what}: ${status} ${text.slice(0, 200)}`);
  if (/node_modules|\.[jt]s:\d|\n\s+at /.test(text)) problems.push(`${what}: shows a stack`);
  if (status === 400 && !text.includes('"message":')) problems.push(`${what}: has no message`);
}

/** Does it for each operation, and expects no problem. */
async function forEach(test: (operation: Operation, problems: string[]) => Promise<void>): Promise<void> {
  const problems: string[] = [];
  const waiting = operations.values();
  const work = async (): Promise<void> => {
    for (const operation of waiting) await test(operation, problems);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  expect(operations.length).toBeGreaterThan(20);
  expect(problems).toEqual([]);
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 60);
}

it('finds what each operation takes', () => {
  const byId = new Map(operations.map((operation) => [operation.operationId, operation]));
  expect(byId.get('Devices_list')?.query).toContain('cursor');
  expect(Object.keys(byId.get('Bulk_run')?.fields ?? {})).toEqual(['select', 'action', 'dryRun']);
});

it('answers ids that are unknown or cannot be', async () => {
  await forEach(async (operation, problems) => {
    if (!operation.path.includes('{')) return;
    for (const id of STRINGS.filter((each) => each !== '')) {
      const body = operation.fields && '{}';
      check(
        problems,
        `${operation.operationId} ${shown(id)}`,
        await send(operation.method, pathOf(operation, id), body),
      );
    }
  });
}, 120_000);

it('answers paths that cannot be decoded', async () => {
  await forEach(async (operation, problems) => {
    if (!operation.path.includes('{')) return;
    for (const id of ['%', '%E0%A4%A', '%zz', '%C0%80', '%ED%A0%80', '%u0041']) {
      const answer = await sendRaw(operation.method, operation.path.replaceAll(/\{\w+\}/g, id), '');
      check(problems, `${operation.operationId} ${id}`, answer);
    }
  });
}, 120_000);

it('answers queries of any type, and names the field that is wrong', async () => {
  await forEach(async (operation, problems) => {
    // Without a query it may be deleted.
    const path = pathOf(operation, operation.query.length > 0 ? DEVICE : 'unknown');
    for (const name of operation.query) {
      for (const value of STRINGS) {
        const query = `?${name}=${encodeURIComponent(value)}`;
        const answer = await send(operation.method, path + query, operation.fields && '{}');
        check(problems, `${operation.operationId} ${name}=${shown(value)}`, answer);
      }
      for (const query of [
        `${name}=a&${name}=b`,
        `${name}[a]=b`,
        `${name}[]=c`,
        `${name}=%ED%A0%80`,
        `${name}=%`,
      ])
        check(
          problems,
          `${operation.operationId} ${query}`,
          await send(operation.method, `${path}?${query}`),
        );
      const long = `?${name}=${'x'.repeat(5_000)}`;
      const { status, text } = await send(operation.method, path + long);
      if (status !== 400 || !text.includes(name))
        problems.push(`${operation.operationId} ${name}: ${status} ${text}`);
    }
    const { status, text } = await send(operation.method, `${path}?nonsense=1&__proto__=2`);
    check(problems, `${operation.operationId} ?nonsense`, { status, text });
    if (operation.query.length > 0 && !text.includes('nonsense'))
      problems.push(`${operation.operationId}: ${text}`);
  });
}, 240_000);

it('answers bodies whose fields have any type, and names the field that is wrong', async () => {
  await forEach(async (operation, problems) => {
    for (const name of Object.keys(operation.fields ?? {})) {
      for (const value of VALUES) {
        const answer = await send(operation.method, pathOf(operation), JSON.stringify({ [name]: value }));
        check(problems, `${operation.operationId} ${name}: ${shown(value)}`, answer);
      }
      // What devices are sent may be anything.
      if (name === 'payload' || name === 'message') continue;
      for (const value of NO_FIELD_TAKES) {
        const { status, text } = await send(
          operation.method,
          pathOf(operation),
          JSON.stringify({ [name]: value }),
        );
        if (status !== 400 || !text.includes(name))
          problems.push(`${operation.operationId} ${name}: ${shown(value)}: ${status} ${text.slice(0, 200)}`);
      }
    }
  });
}, 240_000);

it('answers bodies that are none, or of the wrong kind', async () => {
  const bodies: [string | undefined, string?][] = [
    [undefined],
    [''],
    ['{'],
    ['null'],
    ['1'],
    ['"text"'],
    ['[]'],
    ['[[[]]]'],
    ['{"__proto__":{"a":1},"constructor":{"prototype":{}}}'],
    [`${'['.repeat(45_000)}${']'.repeat(45_000)}`],
    [`${'{"a":'.repeat(15_000)}1${'}'.repeat(15_000)}`],
    [`{"payload":${'['.repeat(40_000)}${']'.repeat(40_000)}}`],
    [`{"x":"${'x'.repeat(200_000)}"}`],
    ['{"\ud800":1}'],
    ['{"a":1e400}'],
    ['a=b', 'application/x-www-form-urlencoded'],
    ['a[b][c]=d', 'application/x-www-form-urlencoded'],
    ['<a/>', 'application/xml'],
    ['{}', 'text/plain'],
    ['{}', 'application/json; charset=utf-7'],
    ['{}', 'application/json; charset="'],
    ['{}', 'nonsense'],
  ];
  await forEach(async (operation, problems) => {
    if (operation.method === 'GET') return;
    for (const [body, type] of bodies) {
      const answer = await send(operation.method, pathOf(operation), body, type);
      check(problems, `${operation.operationId} ${shown(body)} ${type ?? ''}`, answer);
    }
    for (const headers of [
      'Content-Encoding: gzip\r\n',
      'Content-Encoding: nonsense\r\n',
      'Expect: nonsense\r\n',
    ]) {
      const answer = await sendRaw(
        operation.method,
        pathOf(operation),
        `Content-Type: application/json\r\n${headers}`,
        '{}',
      );
      check(problems, `${operation.operationId} ${headers}`, answer);
    }
  });
}, 120_000);

it('answers bulk actions that select or do what does not exist', async () => {
  const problems: string[] = [];
  const select = { ids: ['unknown'] };
  for (const value of VALUES) {
    const bodies = [
      { select: { ids: value }, action: { type: 'unblock' } },
      { select: { tags: value }, action: { type: 'unblock' } },
      { select: { all: value }, action: { type: 'unblock' }, dryRun: true },
      { select, action: { type: value } },
      { select, action: { type: 'tag', tag: value } },
      { select, action: { type: 'deliver', event: value, payload: value } },
      { select, action: { type: 'deliver', event: 'e', ttlMs: value, key: value, lane: value } },
    ];
    for (const body of bodies) {
      const text = JSON.stringify(body);
      check(problems, text.slice(0, 100), await send('POST', '/api/v1/bulk', text));
    }
  }
  expect(problems).toEqual([]);
}, 120_000);

it('still serves', async () => {
  expect(await cloud.http('GET', '/api/v1/overview')).toMatchObject({ status: 200 });
  expect(await cloud.http('GET', `/api/v1/devices/${DEVICE}`)).toMatchObject({ status: 200 });
});
