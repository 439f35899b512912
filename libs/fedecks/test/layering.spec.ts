import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const src = fileURLToPath(new URL('../src', import.meta.url));

/** The folders of this library, and the packages, that each folder may import. */
const ALLOWED: Record<string, { folders: string[]; packages: RegExp }> = {
  wire: { folders: [], packages: /^node:(buffer|util|zlib)$/ },
  options: { folders: ['wire'], packages: /^$/ },
  faults: { folders: [], packages: /^(rxjs|node:util)$/ },
  delivery: { folders: ['wire', 'faults'], packages: /^$/ },
  requests: { folders: ['wire', 'options', 'faults'], packages: /^rxjs$/ },
  results: { folders: ['wire', 'faults', 'requests'], packages: /^rxjs$/ },
  receiving: { folders: ['wire', 'delivery', 'results'], packages: /^$/ },
  handlers: {
    folders: ['wire', 'faults', 'options', 'requests', 'results'],
    packages: /^(@nestjs\/(common|core)(\/.*)?|rxjs|node:.*)$/,
  },
  server: {
    folders: ['wire', 'options', 'faults', 'delivery', 'requests', 'results', 'receiving', 'handlers'],
    packages: /^(@nestjs\/(common|core)(\/.*)?|rxjs|node:.*)$/,
  },
  cluster: { folders: ['wire', 'delivery', 'requests', 'server'], packages: /^rxjs$/ },
  nats: {
    folders: ['options', 'server', 'cluster'],
    packages: /^(@nats-io\/(transport-node|jetstream|kv)|node:.*)$/,
  },
  client: {
    folders: ['wire', 'options', 'faults', 'delivery', 'requests', 'results', 'receiving'],
    packages: /^(rxjs|ws|node:.*)$/,
  },
  'client-nest': {
    folders: ['wire', 'options', 'faults', 'requests', 'results', 'receiving', 'handlers', 'client'],
    packages: /^(@nestjs\/(common|core)(\/.*)?|rxjs)$/,
  },
  cli: { folders: ['wire', 'client'], packages: /^(rxjs|ws|node:.*)$/ },
  testing: {
    folders: ['wire', 'options', 'delivery', 'requests'],
    packages: /^(@nestjs\/common|rxjs|ws|node:.*)$/,
  },
};

/** The files in `server` that may import Nest. The rest is plain TypeScript that a test can construct with `new`. */
const NEST_IN_SERVER = [
  'endpoints.ts',
  'fedecks-options.ts',
  'fedecks.gateway.ts',
  'fedecks.module.ts',
  'fedecks.service.ts',
  'health-indicator.ts',
  'limited-log.ts',
  'provider-of.ts',
  'token.ts',
  'upgrade/auth.guard.ts',
  'upgrade/dispatcher.ts',
  'upgrade/pass-guards.ts',
];

/** The files that connect the parts of `server` with each other. */
const WIRING = ['server/fedecks.gateway.ts', 'server/fedecks.module.ts'];

interface Source {
  readonly file: string;
  readonly folder: string;
  readonly imports: readonly { readonly specifier: string; readonly typeOnly: boolean }[];
}

const sources: Source[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'))
  .map((file) => ({
    file,
    folder: file.split('/')[0]!,
    imports: importsOf(readFileSync(join(src, file), 'utf8')),
  }));

function importsOf(text: string): Source['imports'] {
  const statements = text.matchAll(/^(?:import|export)\s([^;]*?)\sfrom '([^']+)';/gm);
  return [...statements].map(([, names = '', specifier = '']) => ({
    specifier,
    typeOnly:
      names.startsWith('type ') || /^\{\s*(type \w+(,\s*)?)+\}$/.test(names.trim().replace(/,\s*\}/, ' }')),
  }));
}

/** The imported file of this library, relative to `src`. */
function target(source: Source, specifier: string): string {
  return relative(src, normalize(join(src, dirname(source.file), specifier))).replace(/\.js$/, '.ts');
}

describe('layering', () => {
  it('finds the import lines of all folders', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(sources.flatMap(({ imports }) => imports).length).toBeGreaterThan(60);
    expect(Object.keys(ALLOWED).sort()).toEqual([...new Set(sources.map(({ folder }) => folder))].sort());
  });

  it('allows each folder only its listed imports', () => {
    const wrong = sources.flatMap((source) =>
      source.imports
        .filter(({ specifier }) => {
          const { folders, packages } = ALLOWED[source.folder]!;
          if (!specifier.startsWith('.')) return !packages.test(specifier);
          const folder = target(source, specifier).split('/')[0]!;
          return folder !== source.folder && !folders.includes(folder);
        })
        .map(({ specifier }) => `${source.file} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  it('imports other folders through their index or internal only, and never its own index', () => {
    const wrong = sources.flatMap((source) =>
      source.imports
        .filter(({ specifier }) => specifier.startsWith('.'))
        .map(({ specifier }) => target(source, specifier))
        .filter((file) => {
          const own = file.split('/')[0] === source.folder;
          // internal.ts is index.ts and more.
          if (own)
            return file === `${source.folder}/index.ts` && source.file !== `${source.folder}/internal.ts`;
          return !/^[\w-]+\/(index|internal)\.ts$/.test(file);
        })
        .map((file) => `${source.file} imports ${file}`),
    );
    expect(wrong).toEqual([]);
  });

  it('imports each folder that has an internal.ts through it, except in an index.ts', () => {
    const internals = sources.filter(({ file }) => /^[\w-]+\/internal\.ts$/.test(file));
    expect(internals.map(({ file }) => file)).toEqual(['wire/internal.ts']);
    const wrong = sources.flatMap((source) =>
      source.imports
        .filter(({ specifier }) => specifier.startsWith('.'))
        .map(({ specifier }) => target(source, specifier))
        .filter((file) =>
          internals.some(({ folder }) => folder !== source.folder && file.startsWith(`${folder}/`)),
        )
        .filter((file) => file.endsWith('/index.ts') !== source.file.endsWith('/index.ts'))
        .map((file) => `${source.file} imports ${file}`),
    );
    expect(wrong).toEqual([]);
  });

  it('has no import cycle', () => {
    const byFile = new Map(sources.map((source) => [source.file, source]));
    const circles: string[] = [];
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) {
        circles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
        return;
      }
      if (done.has(file)) return;
      const source = byFile.get(file);
      for (const { specifier } of source?.imports.filter((each) => each.specifier.startsWith('.')) ?? []) {
        visit(target(source!, specifier), [...path, file]);
      }
      done.add(file);
    };
    for (const { file } of sources) visit(file, []);
    expect(circles).toEqual([]);
  });

  it('keeps Nest out of the plain files in server/', () => {
    const wrong = sources
      .filter(
        ({ folder, file }) => folder === 'server' && !NEST_IN_SERVER.includes(file.slice('server/'.length)),
      )
      .filter(({ imports }) =>
        imports.some(({ specifier, typeOnly }) => specifier.startsWith('@nestjs/') && !typeOnly),
      )
      .map(({ file }) => file);
    expect(wrong).toEqual([]);
  });

  it('lets server/websocket and server/upgrade stand on their own', () => {
    const importsInto = (folder: string): string[] =>
      sources
        .filter(({ file }) => file.startsWith(folder))
        .flatMap((source) => source.imports.map(({ specifier }) => target(source, specifier)))
        .filter((file) => file.startsWith('server/') && !file.startsWith(folder));
    expect(importsInto('server/websocket/')).toEqual([]);
    expect(importsInto('server/upgrade/').filter((file) => WIRING.includes(file))).toEqual([]);

    const reachIn = sources
      .filter(({ file }) => !file.startsWith('server/upgrade/') && !WIRING.includes(file))
      .filter((source) =>
        source.imports.some(({ specifier }) => target(source, specifier).startsWith('server/upgrade/')),
      )
      .map(({ file }) => file);
    expect(reachIn).toEqual(['server/fedecks-options.ts', 'server/index.ts']);
  });
});
