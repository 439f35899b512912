import { decodeAttempt, encodeAttempt } from './attempt.js';

const PROCESS = 'AAECAwQFBgcICQoLDA0ODw';

describe('the attempt header (§1.7)', () => {
  it('parses what was formatted', () => {
    const attempt = { process: PROCESS, number: 42 };
    expect(encodeAttempt(attempt)).toBe(`${PROCESS}/42`);
    expect(decodeAttempt(`${PROCESS}/42`)).toEqual(attempt);
    expect(decodeAttempt(`${PROCESS}/999999999999999`)).toMatchObject({ number: 999_999_999_999_999 });
  });

  it.each([
    undefined,
    '',
    PROCESS,
    `${PROCESS}/`,
    `${PROCESS}/0`,
    `${PROCESS}/01`,
    `${PROCESS}/-1`,
    `${PROCESS}/1.5`,
    `${PROCESS}/1000000000000000`,
    `${PROCESS}=/1`,
    `${PROCESS.slice(1)}/1`,
    `${PROCESS}A/1`,
    `+${PROCESS.slice(1)}/1`,
    `${PROCESS}/1, ${PROCESS}/2`,
    `${PROCESS}/1\n`,
  ])('is ignored if it is %j', (value) => {
    expect(decodeAttempt(value)).toBeUndefined();
  });
});
