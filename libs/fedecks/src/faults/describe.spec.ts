import { messageOf, nameOf, stackOf } from './describe.js';

const unreadable = (key: string): Error =>
  Object.defineProperty(new Error('x'), key, {
    get() {
      throw new Error('no');
    },
  });

describe('a thrown value', () => {
  it('is described by name, message and stack if it is an Error', () => {
    const error = new TypeError('broken');
    expect([nameOf(error), messageOf(error), stackOf(error)]).toEqual(['TypeError', 'broken', error.stack]);
  });

  it('is described by its type if it is not an Error', () => {
    expect([nameOf('broken'), nameOf(undefined), nameOf(null), nameOf({})]).toEqual([
      'string',
      'undefined',
      'null',
      'object',
    ]);
    expect([messageOf('broken'), stackOf('broken'), stackOf({})]).toEqual(['', 'broken', undefined]);
  });

  it('is described without properties whose getters throw', () => {
    expect(nameOf(unreadable('name'))).toBe('object');
    expect(messageOf(unreadable('message'))).toBe('');
    expect(stackOf(unreadable('stack'))).toBe('Error: x');
  });

  it('is described if it is a revoked Proxy, or one whose traps throw', () => {
    const { proxy, revoke } = Proxy.revocable(new Error('x'), {});
    revoke();
    const hostile = new Proxy(new Error('x'), {
      get() {
        throw new Error('no');
      },
      getPrototypeOf() {
        throw new Error('no');
      },
    });
    for (const each of [proxy, hostile]) {
      expect([nameOf(each), messageOf(each), stackOf(each)]).toEqual(['object', '', undefined]);
    }
  });

  it('is described with truncated texts, without values that are not strings', () => {
    const error = Object.assign(new Error('x'.repeat(100_000)), {
      name: 'n'.repeat(1_000),
      stack: { toString: 1 },
    });
    expect(nameOf(error)).toHaveLength(128);
    expect(messageOf(error)).toHaveLength(16_384);
    expect(stackOf(error)).toMatch(/^n{128}: x/);
  });
});
