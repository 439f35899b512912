import { hashOfClaimCode, makeClaimCode } from './claim-code.js';

describe('makeClaimCode', () => {
  it('makes 4 groups of 4 characters that nobody confuses, each time others', () => {
    const codes = Array.from({ length: 1_000 }, () => makeClaimCode().code);
    for (const code of codes) expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
    expect(new Set(codes).size).toBe(1_000);
    expect(new Set(codes.join('').replaceAll('-', '')).size).toBe(32);
  });

  it('makes codes that are read as themselves', () => {
    for (let made = 0; made < 1_000; made++) {
      const { code, codeHash } = makeClaimCode();
      expect(hashOfClaimCode(code)).toEqual(codeHash);
    }
  });
});

describe('hashOfClaimCode', () => {
  const hash = hashOfClaimCode('7K30-9QT1-1ABC-WV50');

  it.each([
    '7k30-9qt1-1abc-wv50',
    '7K309QT11ABCWV50',
    ' 7K30 9QT1 1ABC WV50\n',
    '7K3O-9QTI-LABC-WV5o',
    '7k3o-9qtl-iabc-wv50',
  ])('reads %j as the same code', (typed) => {
    expect(hashOfClaimCode(typed)).toEqual(hash);
  });

  it('tells other codes apart', () => {
    expect(hashOfClaimCode('7K30-9QT1-1ABC-WV51')).not.toEqual(hash);
  });

  it.each([
    ['empty text', ''],
    ['15 characters', '7K30-9QT1-1ABC-WV5'],
    ['17 characters', '7K30-9QT1-1ABC-WV500'],
    ['a U', '7K30-9QT1-1ABC-WV5U'],
    ['other letters', '7K30-9QT1-1ABC-WV5Ö'],
    ['100 spaces', `7K30-9QT1-1ABC-WV50${' '.repeat(100)}`],
    ['a million characters', '7'.repeat(1_000_000)],
  ])('refuses %s', (_what, typed) => {
    expect(hashOfClaimCode(typed)).toBeUndefined();
  });
});
