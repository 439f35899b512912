import { hashPassword, isPassword, isPasswordHash } from './password.js';

/** Of the password "open sesame", made by the version before. */
const SCRYPT = 'scrypt$AL0iiQkbP2Mxg_lejuyPhQ$1GVGJCMtq-AmcSs1OV1dhgCnhcN1zTFvRm8uq31a-po';

describe('a password hash', () => {
  it('is argon2id, salted, and of one password only', async () => {
    const [hashed, again] = await Promise.all([hashPassword('open sesame'), hashPassword('open sesame')]);
    expect(hashed).toMatch(/^\$argon2id\$v=19\$/);
    expect(again).not.toBe(hashed);
    expect(isPasswordHash(hashed)).toBe(true);
    expect(await isPassword('open sesame', hashed)).toBe(true);
    expect(await isPassword('open sesam', hashed)).toBe(false);
  });

  it('has at least the least parameters of OWASP', async () => {
    const [, memory, passes] = /^\$argon2id\$v=19\$m=(\d+),p=1,t=(\d+)\$/.exec(await hashPassword('x')) ?? [];
    expect(Number(memory)).toBeGreaterThanOrEqual(19_456);
    expect(Number(passes)).toBeGreaterThanOrEqual(2);
  });

  it('is of the text, however its accents are encoded', async () => {
    expect(await isPassword('e\u0301te\u0301', await hashPassword('\u00e9t\u00e9'))).toBe(true);
  });

  it('may be one that an earlier version made', async () => {
    expect(isPasswordHash(SCRYPT)).toBe(true);
    expect(await isPassword('open sesame', SCRYPT)).toBe(true);
    expect(await isPassword('open sesam', SCRYPT)).toBe(false);
  });

  it('of other software may name its parameters in any order', () => {
    const rest = `${'s'.repeat(22)}$${'h'.repeat(43)}`;
    expect(isPasswordHash(`$argon2id$v=19$m=65536,t=3,p=4$${rest}`)).toBe(true);
  });

  it.each([
    ['a number', 7],
    ['a password', 'open sesame'],
    ['argon2i', `$argon2i$v=19$m=19456,t=2,p=1$${'s'.repeat(22)}$${'h'.repeat(43)}`],
    ['one of a gigabyte', `$argon2id$v=19$m=999999,t=2,p=1$${'s'.repeat(22)}$${'h'.repeat(43)}`],
    ['one of a hundred rounds', `$argon2id$v=19$m=19456,t=100,p=1$${'s'.repeat(22)}$${'h'.repeat(43)}`],
    ['one without memory', `$argon2id$v=19$t=2,p=1$${'s'.repeat(22)}$${'h'.repeat(43)}`],
    ['one that goes on', `$argon2id$v=19$m=19456,t=2,p=1$${'s'.repeat(22)}$${'h'.repeat(43)}$x`],
  ])('is not %s', (_what, value) => {
    expect(isPasswordHash(value)).toBe(false);
  });
});
