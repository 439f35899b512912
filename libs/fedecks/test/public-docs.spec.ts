import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const src = join(root, 'libs/fedecks/src');
const ENTRIES = readdirSync(src).filter(
  (folder) =>
    !['cli', 'delivery', 'faults', 'handlers', 'options', 'receiving', 'requests', 'results'].includes(
      folder,
    ),
);

const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
  config: unknown;
};
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
const program = ts.createProgram(
  ENTRIES.map((entry) => join(src, entry, 'index.ts')),
  options,
);
const checker = program.getTypeChecker();

interface Name {
  readonly name: string;
  readonly symbol: ts.Symbol;
}

/** The exports of an entry. */
function exportsOf(entry: string): ts.Symbol[] {
  const file = program.getSourceFile(join(src, entry, 'index.ts'));
  const module = file && checker.getSymbolAtLocation(file);
  if (!module) throw new Error(`there is no entry ${entry}`);
  return checker
    .getExportsOfModule(module)
    .map((exported) =>
      exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported,
    );
}

/** The exports of an entry, and their public members. */
function namesOf(entry: string): Name[] {
  return exportsOf(entry).flatMap((symbol) => {
    const declaration = symbol.declarations?.[0];
    if (!declaration || !declaration.getSourceFile().fileName.startsWith(src)) return [];
    const { name } = symbol;
    return [
      { name, symbol },
      ...membersOf(declaration).map((each) => ({ ...each, name: `${name}.${each.name}` })),
    ];
  });
}

function membersOf(declaration: ts.Declaration): Name[] {
  if (!ts.isInterfaceDeclaration(declaration) && !ts.isClassDeclaration(declaration)) return [];
  const members: readonly ts.NamedDeclaration[] = declaration.members;
  return members.flatMap((member) => {
    const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;
    if (!member.name || ts.isPrivateIdentifier(member.name)) return [];
    if ((ts.getCombinedModifierFlags(member) & hidden) !== 0) return [];
    // An error's `name` equals its class. Hooks that Nest calls are documented by Nest.
    const name = member.name.getText();
    if (name === 'name' || /^(on[A-Z]|before[A-Z])\w*(Init|Bootstrap|Shutdown)$/.test(name)) return [];
    const symbol = checker.getSymbolAtLocation(member.name);
    return symbol ? [{ name, symbol }] : [];
  });
}

function isDocumented({ symbol }: Name): boolean {
  return symbol.getDocumentationComment(checker).length > 0 || symbol.getJsDocTags(checker).length > 0;
}

describe.each(ENTRIES)('The entry in %s', (entry) => {
  it('has a doc comment for every name and option', () => {
    const names = namesOf(entry);
    expect(names.length).toBeGreaterThan(2);
    expect(names.filter((each) => !isDocumented(each)).map(({ name }) => name)).toEqual([]);
  });
});

it('documents the default of every option', () => {
  for (const [entry, type] of [
    ['server', 'FedecksOptions'],
    ['client', 'FedecksClientOptions'],
  ] as const) {
    const optional = namesOf(entry)
      .filter(({ name, symbol }) => name.startsWith(`${type}.`) && symbol.flags & ts.SymbolFlags.Optional)
      .filter(({ symbol }) => !symbol.getJsDocTags(checker).some((tag) => tag.name === 'default'));
    expect(optional.map(({ name }) => name)).toEqual([]);
  }
});

describe('The entry @fedecks/nest/wire', () => {
  const types = [
    ...['CannotBeSent', 'Compression', 'Contract', 'CredentialsToSend', 'DecodeOptions', 'EncodeOptions'],
    ...['EventMessage', 'EventName', 'EventsOf', 'MessageOf', 'MessageToSend', 'PayloadReceived'],
    ...['PayloadToSend', 'RequestErrorCode', 'Sendable', 'Sent', 'Term', 'TermDecodeCode', 'TupleOf'],
  ];
  const values = [
    ...[
      'Atom',
      'BitString',
      'FedecksError',
      'Float',
      'ImproperList',
      'MAX_DEVICE_ID_BYTES',
      'Pid',
      'Reference',
      'ReservedMessageError',
    ],
    ...['TermDecodeError', 'TermEncodeError', 'Tuple', 'atom', 'decodeTerm', 'encodeTerm', 'eventOf'],
    ...['float', 'tuple'],
  ];

  it('exports exactly what applications use', () => {
    expect(
      exportsOf('wire')
        .map(({ name }) => name)
        .sort(),
    ).toEqual([...types, ...values].sort());
  });

  it('is all of wire that other entries of the package export', () => {
    const { exports } = JSON.parse(readFileSync(join(root, 'libs/fedecks/package.json'), 'utf8')) as {
      exports: Record<string, { import?: { default: string } }>;
    };
    const entries = Object.values(exports).flatMap(
      (each) => /^\.\/dist\/([\w-]+)\/index\.js$/.exec(each.import?.default ?? '')?.[1] ?? [],
    );
    expect(entries).toEqual(['server', 'client', 'client-nest', 'nats', 'testing', 'wire']);
    const isOfWire = ({ declarations = [] }: ts.Symbol): boolean =>
      declarations.some((each) => each.getSourceFile().fileName.startsWith(join(src, 'wire/')));
    const wrong = entries.flatMap((entry) =>
      exportsOf(entry)
        .filter((symbol) => isOfWire(symbol) && !exportsOf('wire').includes(symbol))
        .map(({ name }) => `${entry}: ${name}`),
    );
    expect(wrong).toEqual([]);
  });
});
