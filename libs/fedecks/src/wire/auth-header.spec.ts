import { deflateSync } from 'node:zlib';
import { atom, encodeTerm, type Term, TermEncodeError } from '@fedecks/nest/wire';
import { decodeAuthHeader, encodeAuthHeader } from './internal.js';

const UNSAFE = { ok: false, info: 'encoded binary auth was invalid or unsafe' };

function header(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}

function text(value: string): string {
  const bytes = Buffer.from(value);
  return `6d${bytes.length.toString(16).padStart(8, '0')}${bytes.toString('hex')}`;
}

const ID = text('fedecks-device-id') + text('d1');

describe('encodeAuthHeader', () => {
  const id = { 'fedecks-device-id': 'd1' };

  it('takes the properties of any object for credentials', () => {
    class Login {
      readonly user = 'ada';
      readonly password = 'x';
      readonly none = undefined;
      describe(): string {
        return this.user;
      }
    }
    expect(decodeAuthHeader(encodeAuthHeader(id, new Login()))).toEqual({
      ok: true,
      deviceId: 'd1',
      credentials: { user: 'ada', password: 'x' },
    });
  });

  it.each<[string, object]>([
    ['a Promise', Promise.resolve({ user: 'ada' })],
    ['a Set', new Set(['ada'])],
    ['a URL', new URL('http://ada@localhost')],
    ['a Map', new Map([['user', 'ada']])],
    ['a Date', new Date(0)],
    ['bytes', Buffer.from('ada')],
    ['an array', ['ada']],
    ['an atom', atom('ada')],
  ])('refuses %s for credentials', (_, credentials) => {
    expect(() => encodeAuthHeader(id, credentials)).toThrow(TermEncodeError);
  });
});

describe('decodeAuthHeader (§1.2)', () => {
  it('rejects a compressed header', () => {
    const plain = Buffer.from(`7400000001${ID}`, 'hex');
    const head = Buffer.from('835000000000', 'hex');
    head.writeUInt32BE(plain.length, 2);
    const value = Buffer.concat([head, deflateSync(plain)]).toString('base64');
    expect(decodeAuthHeader(value)).toEqual(UNSAFE);
  });

  it('rejects a header of several hundred elements', () => {
    const list = (length: number): string =>
      `6c${length.toString(16).padStart(8, '0')}${'6a'.repeat(length)}6a`;
    expect(decodeAuthHeader(header(`837400000002${ID}${text('x')}${list(300)}`))).toEqual(UNSAFE);
    expect(decodeAuthHeader(header(`837400000002${ID}${text('x')}${list(200)}`))).toMatchObject({ ok: true });
  });

  it('rejects a header nested more than 16 deep', () => {
    const nested = (levels: number): string => `${'6801'.repeat(levels)}6a`;
    expect(decodeAuthHeader(header(`837400000002${ID}${text('x')}${nested(16)}`))).toEqual(UNSAFE);
    expect(decodeAuthHeader(header(`837400000002${ID}${text('x')}${nested(15)}`))).toMatchObject({
      ok: true,
    });
  });

  it('accepts credentials of a thousand characters', () => {
    const credentials = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, i]));
    const value = encodeAuthHeader({ 'fedecks-device-id': 'd1', ...credentials });
    expect(decodeAuthHeader(value)).toEqual({ ok: true, deviceId: 'd1', credentials });
  });

  it('returns only values under string keys, as an application sees them', () => {
    const value = encodeTerm(
      new Map<Term, Term>([
        ['fedecks-device-id', 'd1'],
        [atom('fedecks-token'), 'not under a string'],
        ['nested', { a: { b: 1 } }],
        ['at', new Date(5)],
        ['numbers', new Map([[1, { c: 2 }]])],
        [7, 'left out'],
      ]),
    ).toString('base64');
    expect(decodeAuthHeader(value)).toEqual({
      ok: true,
      deviceId: 'd1',
      credentials: { nested: { a: { b: 1 } }, at: new Date(5), numbers: new Map([[1, { c: 2 }]]) },
    });
  });

  it.each([
    [
      'an id under an atom',
      `837400000001${'7711' + Buffer.from('fedecks-device-id').toString('hex')}${text('d1')}`,
    ],
    [
      'an id under marked bytes',
      `8374000000014d0000001108${Buffer.from('fedecks-device-id').toString('hex')}${text('d1')}`,
    ],
    ['an empty map', '837400000000'],
    ['a DateTime', encodeTerm(new Date(5)).toString('hex')],
  ])('finds no device id in %s', (_, hex) => {
    expect(decodeAuthHeader(header(hex))).toEqual({ ok: false, info: 'no device id' });
  });

  it('treats a nil token as a token', () => {
    const value = header(`837400000002${ID}${text('fedecks-token')}77036e696c`);
    expect(decodeAuthHeader(value)).toEqual({ ok: true, deviceId: 'd1', token: null, credentials: {} });
  });
});
