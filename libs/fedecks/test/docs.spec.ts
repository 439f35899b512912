import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { decodeTerm, isTokenPlease, tokenIn, tuple } from '@fedecks/nest/wire';
import { startCloud } from './support/cloud.js';
import { RawPeer } from './support/raw-peer.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The code blocks of a document, with the language they say they are in. */
function blocks(document: string): { language: string; text: string }[] {
  const text = readFileSync(root + document, 'utf8');
  return [...text.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map(([, language = '', body = '']) => ({
    language,
    text: body,
  }));
}

/** The terms of a block of hex: each begins with the version byte, and may go on over indented lines. */
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
  const protocol = blocks('libs/fedecks/PROTOCOL.md');
  const [request, header, refusal, ...frames] = protocol.map(({ text }) => text);

  it('shows an upgrade that a cloud lets in, with the header it explains (§1.1, §1.2)', async () => {
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

  it('shows the refusal as it is sent (§1.4)', async () => {
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

  it('shows the terms it says it shows (§2.1, §2.2)', () => {
    const [event, please, pleaseCompressed, token, ...others] = frames.flatMap(terms);
    expect(decodeTerm(event!)).toEqual(tuple('temperature', 21.5));
    expect(isTokenPlease(decodeTerm(please!))).toBe(true);
    expect(isTokenPlease(decodeTerm(pleaseCompressed!))).toBe(true);
    expect(tokenIn(decodeTerm(token!))).toBe('abc');
    expect(others).toEqual([]);
  });
});

describe('README.md', () => {
  it('shows of the code only what the README of the library has whole, and a test runs', () => {
    const whole = blocks('libs/fedecks/README.md')
      .filter(({ language }) => language === 'ts')
      .flatMap(({ text }) =>
        text.split('\n').map((line) => line.trim().replace(/^(export )?class/, 'class')),
      );
    const shown = blocks('README.md').filter(({ language }) => language === 'ts');
    expect(shown.length).toBeGreaterThan(0);
    for (const line of shown.flatMap(({ text }) => text.split('\n'))) {
      expect(whole).toContain(line.trim().replace(/^(export )?class/, 'class'));
    }
  });

  it('names commands there are, and the gate runs the two of the beginning', () => {
    const { scripts } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {
      scripts: Record<string, string>;
    };
    const commands = blocks('README.md')
      .filter(({ language }) => language === 'sh')
      .flatMap(({ text }) => text.trim().split('\n'));
    expect(commands).toEqual(['npm run demo', 'npm test']);
    const gate = readFileSync(`${root}.ci/run`, 'utf8');
    expect(gate).toContain('npm test');
    expect(gate).toMatch(/npm run --silent demo -- --once|npm run demo -- --once/);
    const named = readFileSync(`${root}README.md`, 'utf8').matchAll(/`npm run (\w+)/g);
    for (const [, script = ''] of named) expect(scripts).toHaveProperty(script);
  });
});
