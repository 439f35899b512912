import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { decodeTerm, tuple } from '@fedecks/nest/wire';
import { isTokenPlease, tokenIn } from '../src/wire/internal.js';
import { startCloud } from './support/cloud.js';
import { blocksIn, documentsIn, examples, packedDocuments, read, root } from './support/documents.js';
import { RawPeer } from './support/raw-peer.js';

/** The terms in a hex block: each begins with the version byte, and may continue on indented lines. */
function terms(text: string): Buffer[] {
  const hex = text
    .split('\n')
    .filter((line) => !line.includes('...'))
    .map((line) => /^(\s*)((?:[0-9a-f]{2,} ?)+)(?= {2}|$)/.exec(line))
    .filter((match) => match !== null);
  const found: string[] = [];
  for (const [, indent, bytes = ''] of hex) {
    if (indent === '') found.push(bytes);
    else found.push(`${found.pop() ?? ''}${bytes}`);
  }
  return found.map((bytes) => Buffer.from(bytes.replaceAll(' ', ''), 'hex'));
}

describe('PROTOCOL.md', () => {
  const protocol = blocksIn('libs/fedecks/PROTOCOL.md');
  const [request, header, refusal, ...frames] = protocol.map(({ text }) => text);

  it('shows an upgrade that a cloud accepts, with the header it explains (§1.1, §1.2)', async () => {
    const [, auth = ''] = /x-fedecks-auth: (\S+)/.exec(request ?? '') ?? [];
    expect(terms(header ?? '')).toEqual([Buffer.from(auth, 'base64')]);
    const cloud = await startCloud();
    try {
      const peer = await RawPeer.connect(cloud.port);
      peer.write(`${(request ?? '').trim().replaceAll('\n', '\r\n')}\r\n\r\n`);
      expect((await peer.response()).statusLine).toBe('HTTP/1.1 101 Switching Protocols');
      peer.destroy();
    } finally {
      await cloud.close();
    }
  });

  it('shows the rejection as it is sent (§1.4)', async () => {
    const cloud = await startCloud();
    try {
      const peer = await RawPeer.connect(cloud.port);
      peer.write(
        `${(request ?? '')
          .trim()
          .replace(/x-fedecks-auth.*/, '')
          .trim()
          .replaceAll('\n', '\r\n')}\r\n\r\n`,
      );
      await peer.ended();
      expect(Buffer.concat(peer.reads).toString()).toBe(
        `${(refusal ?? '').trim().replaceAll('\n', '\r\n')}\r\n\r\n`,
      );
      peer.destroy();
    } finally {
      await cloud.close();
    }
  });

  it('shows bytes that decode to the terms it names (§2.1, §2.2, §6.3, §6.4)', () => {
    const [event, please, pleaseCompressed, token, ...others] = frames.flatMap(terms);
    expect(decodeTerm(event!)).toEqual(tuple('temperature', 21.5));
    expect(isTokenPlease(decodeTerm(please!))).toBe(true);
    expect(isTokenPlease(decodeTerm(pleaseCompressed!))).toBe(true);
    expect(tokenIn(decodeTerm(token!))).toBe('abc');
    const charlist = (name: string): number[] => [...Buffer.from(name)];
    expect(others.map((bytes) => decodeTerm(bytes))).toEqual([
      tuple(charlist('request'), 1, 30_000, tuple('read', 3)),
      tuple(charlist('reply'), 1, 21),
      tuple(charlist('next'), 1, 21),
      tuple(charlist('complete'), 1),
      tuple(charlist('error'), 1, 'busy', ''),
      tuple(charlist('cancel'), 1),
      tuple(charlist('resume'), [], 8, 16_384),
      tuple(charlist('deliver'), 0, 7, 'e42', 1, 0, 1_000, 5),
      tuple(charlist('result'), 0, 7, 21),
      tuple(charlist('ack'), 0, 7, 9, 17_408),
      tuple(charlist('nack'), 0, 7, 'failed', ''),
    ]);
  });
});

describe('README.md of the repository', () => {
  const blocks = blocksIn('README.md');

  it("shows only code that is in an example of the library's documents, which a test runs", () => {
    const lines = (text: string): string[] =>
      text.split('\n').map((line) => line.trim().replace(/^(export )?class/, 'class'));
    const whole = [...examples().values()].flatMap(({ text }) => lines(text));
    const shown = blocks.filter(({ language }) => language === 'ts');
    expect(shown.length).toBeGreaterThan(0);
    for (const line of shown.flatMap(({ text }) => lines(text))) expect(whole).toContain(line);
  });

  it('names commands that exist; CI runs the first two', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const commands = blocks
      .filter(({ language }) => language === 'sh')
      .flatMap(({ text }) => text.trim().split('\n'));
    expect(commands).toEqual(['npm run demo', 'npm test']);
    const gate = read('.ci/run');
    expect(gate).toContain('npm test');
    expect(gate).toMatch(/npm run (--\S+ )*demo -- --once/);
    const named = read('README.md').matchAll(/`npm run ([\w:]+)/g);
    for (const [, script = ''] of named) expect(scripts).toHaveProperty([script]);
  });
});

const packed = packedDocuments();
const documents = [
  'README.md',
  ...packed,
  ...['docs', 'apps', 'bench', 'scripts', 'libs/fedecks/test'].flatMap(documentsIn),
];

describe('The documents', () => {
  it('include README, docs, protocol and changelog in the package', () => {
    expect(packed).toEqual(
      expect.arrayContaining([
        'libs/fedecks/README.md',
        'libs/fedecks/PROTOCOL.md',
        'libs/fedecks/CHANGELOG.md',
        ...documentsIn('libs/fedecks/docs'),
      ]),
    );
  });

  it.each(documents)('have no broken links: %s', (document) => {
    const broken = linksIn(document).filter(({ path, anchor }) => {
      if (!existsSync(join(root, path))) return true;
      return anchor !== undefined && !anchorsIn(path).has(anchor);
    });
    expect(broken).toEqual([]);
  });

  it.each(packed)('in the package link only to packed files: %s', (document) => {
    // npm always packs the licence.
    const inside = [...packed, 'libs/fedecks/LICENSE'];
    const outside = linksIn(document).filter(({ path }) => !inside.includes(path));
    expect(outside).toEqual([]);
  });

  it('in the package are all reachable from its README', () => {
    const reached = new Set(['libs/fedecks/README.md']);
    for (const document of reached) for (const { path } of linksIn(document)) reached.add(path);
    expect(packed.filter((document) => !reached.has(document))).toEqual([]);
  });
});

/** The relative links of a document outside its code: the target file from the root, and the heading. */
function linksIn(document: string): { path: string; anchor: string | undefined }[] {
  const text = proseOf(document).replaceAll(/`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [file = '', anchor] = target.split('#');
      const path = file === '' ? document : relative(root, join(root, dirname(document), file));
      return { path, anchor };
    });
}

/** The anchors of a document's headings, as GitHub and npm generate them. */
function anchorsIn(document: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of proseOf(document).matchAll(/^#+ (.+)$/gm)) {
    const anchor = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-');
    let unique = anchor;
    for (let n = 1; anchors.has(unique); n++) unique = `${anchor}-${n}`;
    anchors.add(unique);
  }
  return anchors;
}

function proseOf(document: string): string {
  return document.endsWith('.md') ? read(document).replaceAll(/^```[^]*?^```$/gm, '') : '';
}
