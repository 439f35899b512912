import { readdirSync } from 'node:fs';
import { InvalidOptionsError } from '@fedecks/nest';
import {
  type FedecksClientOptions,
  resolveOptions as resolveClientOptions,
} from '../src/client/client-options.js';
import { MemoryTokenStore } from '../src/client/token-store.js';
import { type NatsBackplaneOptions, resolveNatsOptions } from '../src/nats/nats-options.js';
import { type FedecksOptions, resolveOptions } from '../src/server/fedecks-options.js';
import { CLOSE, closeCodeAdvice } from '../src/wire/internal.js';
import { read } from './support/documents.js';

const DOCS = 'libs/fedecks/docs/reference';
const SRC = 'libs/fedecks/src';

/** The table rows under a heading of a document, as arrays of cells. */
function rowsOf(document: string, heading: string): string[][] {
  const [, section = ''] = read(`${DOCS}/${document}`).split(`\n## ${heading}\n`);
  return tableRows(section.split('\n## ')[0]!);
}

function tableRows(text: string): string[][] {
  const rows = [...text.matchAll(/^\|(.+)\|$/gm)].map(([, row = '']) =>
    row.split('|').map((cell) => cell.trim()),
  );
  return rows.slice(2);
}

/** The texts in backticks in a cell. */
function codesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code).sort();
}

function nameIn(row: string[]): string {
  return codesIn(row[0]!)[0]!;
}

/** Defaults as in the tables; other values are `none` or `in memory`. */
function asDocumented(value: unknown): string[] {
  if (typeof value === 'number') return [value.toLocaleString('en-US')];
  if (typeof value === 'string') return [`\`'${value}'\``];
  if (typeof value === 'boolean') return [String(value)];
  return ['none', 'in memory'];
}

/** The fields of an options interface, one per row. */
function fieldsOf(file: string, name: string): string[] {
  const [, body = ''] =
    new RegExp(`export interface ${name} \\{\\n([^]*?)\\n\\}`).exec(read(`${SRC}/${file}`)) ?? [];
  return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, field = '']) => field);
}

/** The string literals of a field's type. */
function literalsOf(file: string, name: string, field: string): string[] {
  const [, body = ''] =
    new RegExp(`export (?:interface|type) ${name} [={]([^]*?)\\n(?:\\}|\\n)`).exec(read(`${SRC}/${file}`)) ??
    [];
  return [...body.matchAll(new RegExp(`readonly ${field}:([^;}]*)`, 'g'))]
    .flatMap(([, union = '']) => [...union.matchAll(/'(\w+)'/g)].map(([, literal = '']) => literal))
    .sort();
}

describe('reference/options.md', () => {
  const required = {
    cloud: { secrets: ['s'.repeat(32)], authenticator: { authenticate: () => true } },
    device: { url: 'ws://localhost', deviceId: 'd', tokenStore: new MemoryTokenStore() },
    nats: { servers: 'nats://localhost' },
  };
  const sources = [
    {
      heading: 'The cloud',
      fields: fieldsOf('server/fedecks-options.ts', 'FedecksOptions'),
      given: required.cloud,
      resolve: (options: object) => resolveOptions(options as FedecksOptions),
      resolved: resolveOptions(required.cloud) as unknown as Record<string, unknown>,
    },
    {
      heading: 'The device',
      fields: fieldsOf('client/client-options.ts', 'FedecksClientOptions'),
      given: required.device,
      resolve: (options: object) => resolveClientOptions(options as FedecksClientOptions),
      resolved: resolveClientOptions(required.device) as unknown as Record<string, unknown>,
    },
    {
      heading: 'NATS',
      fields: fieldsOf('nats/nats-options.ts', 'NatsBackplaneOptions'),
      given: required.nats,
      resolve: (options: object) => resolveNatsOptions(options as NatsBackplaneOptions),
      resolved: resolveNatsOptions(required.nats) as unknown as Record<string, unknown>,
    },
  ];

  it.each(sources)('lists exactly the options of the code: $heading', ({ heading, fields }) => {
    expect(fields.length).toBeGreaterThan(5);
    expect(rowsOf('options.md', heading).map(nameIn).sort()).toEqual([...fields].sort());
  });

  it.each(sources)('has a check for every option: $heading', ({ fields, given, resolve }) => {
    const unchecked = fields.filter((option) => {
      try {
        // Of no type that an option has.
        resolve({ ...given, [option]: NaN });
        return true;
      } catch (error) {
        if (error instanceof InvalidOptionsError) return !error.message.includes(`'${option}'`);
        throw error;
      }
    });
    expect(unchecked).toEqual([]);
  });

  it.each(sources)("lists the code's defaults: $heading", ({ heading, given, resolved }) => {
    const wrong = rowsOf('options.md', heading)
      .map((row) => ({ option: nameIn(row), says: row[1]! }))
      .filter(({ option, says }) => {
        const right = option in given ? ['required'] : asDocumented(resolved[option]);
        return !right.includes(says);
      });
    expect(wrong).toEqual([]);
  });
});

describe('reference/events.md', () => {
  it.each([
    ['Events of the device', literalsOf('client/client-event.ts', 'ClientEvent', 'type')],
    ['Failures in the cloud', literalsOf('server/device.ts', 'SocketError', 'type')],
    ['Ends of connections in the cloud', literalsOf('server/device.ts', 'DisconnectCause', 'type')],
  ])('lists exactly the events of the code: %s', (heading, types) => {
    expect(types.length).toBeGreaterThan(5);
    expect(rowsOf('events.md', heading).map(nameIn).sort()).toEqual(types);
  });
});

const CLOSE_CODES = Object.values(CLOSE).sort((a, b) => a - b);

describe('reference/close-codes.md', () => {
  const [before = ''] = read(`${DOCS}/close-codes.md`).split('\n## ');
  const rows = tableRows(before);

  it('lists exactly the close codes that are sent', () => {
    expect(rows.map(([code]) => Number(code))).toEqual(CLOSE_CODES);
  });

  it('says what a device does at each', () => {
    const reactions = {
      retry: /^retries with backoff/,
      login: /^deletes its token/,
      slow: /15 to 60 minutes|as for 4150/,
    };
    const wrong = rows.filter(
      ([code, , reaction = '']) => !reactions[closeCodeAdvice(Number(code))].test(reaction),
    );
    expect(wrong).toEqual([]);
  });
});

describe('PROTOCOL.md §5', () => {
  const [, section = ''] = read('libs/fedecks/PROTOCOL.md').split('\n## 5. ');
  const rows = [...section.matchAll(/^\| \*{0,2}(\d{4}(?:-\d{4})?)[ *]*\|.*\|(.*)\|$/gm)];

  it('lists exactly the close codes that are sent', () => {
    const codes = rows.map(([, code = '']) => code).filter((code) => !code.includes('-'));
    expect(codes.map(Number)).toEqual(CLOSE_CODES);
  });

  it('says what a device does at the codes of each range', () => {
    const reactions = { retry: /retries with backoff/, login: /deletes its token/, slow: /15 to 60 minutes/ };
    const ranges = rows.filter(([, code = '']) => code.includes('-'));
    expect(ranges).toHaveLength(3);
    for (const [, range = '', reaction] of ranges)
      for (const code of range.split('-').map(Number))
        expect(reaction).toMatch(reactions[closeCodeAdvice(code)]);
  });
});

describe('reference/errors.md', () => {
  it('lists exactly the errors of the code, with their codes', () => {
    const sources = readdirSync(new URL('../src', import.meta.url), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'))
      .map((file) => read(`${SRC}/${file}`));
    const types = new Map(
      sources
        .flatMap((source) => [...source.matchAll(/export type (\w+) =([^;]*);/g)])
        .map(([, name = '', union = '']) => [name, union]),
    );
    const errors = sources
      .flatMap((source) => [...source.matchAll(/class (\w+) extends FedecksError \{([^]*?)\n\}/g)])
      .map(([, name = '', body = '']) => {
        const [, type] = /declare readonly code: ([^;]+);/.exec(body) ?? [];
        const [, single] = /super\(\s*('[\w-]+')/.exec(body) ?? [];
        const union = (type === undefined ? single : (types.get(type) ?? type)) ?? '';
        return [name, [...union.matchAll(/'([\w-]+)'/g)].map(([, code = '']) => code).sort()] as const;
      });
    const rows = read(`${DOCS}/errors.md`)
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) =>
        line
          .split('|')
          .map((cell) => cell.trim())
          .slice(1),
      );
    expect(errors.length).toBeGreaterThan(5);
    expect(Object.fromEntries(rows.map((row) => [nameIn(row), codesIn(row[1]!)]))).toEqual(
      Object.fromEntries(errors),
    );
  });
});
