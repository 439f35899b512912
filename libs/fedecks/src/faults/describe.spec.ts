import { messageOf, nameOf, stackOf } from './describe.js';

const unreadable = (key: string): Error =>
  Object.defineProperty(new Error('x'), key, {
    get() {
      throw new Error('no');
    },
  });

describe('what was thrown', () => {
  it('has the name, message and stack of an Error', () => {
    const error = new TypeError('broken');
    expect([nameOf(error), messageOf(error), stackOf(error)]).toEqual(['TypeError', 'broken', error.stack]);
  });

  it('has the name of its type when it is no Error', () => {
    expect([nameOf('broken'), nameOf(undefined), nameOf(null), nameOf({})]).toEqual([
      'string',
      'undefined',
      'null',
      'object',
    ]);
    expect([messageOf('broken'), stackOf('broken'), stackOf({})]).toEqual(['', 'broken', undefined]);
  });

  it('is described without what a getter of it throws', () => {
    expect(nameOf(unreadable('name'))).toBe('object');
    expect(messageOf(unreadable('message'))).toBe('');
    expect(stackOf(unreadable('stack'))).toBe('Error: x');
  });

  it('is described when it is a revoked Proxy, or one whose traps throw', () => {
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

  it('is cut when it is long, and passed over when it is no string', () => {
    const error = Object.assign(new Error('x'.repeat(100_000)), {
      name: 'n'.repeat(1_000),
      stack: { toString: 1 },
    });
    expect(nameOf(error)).toHaveLength(128);
    expect(messageOf(error)).toHaveLength(16_384);
    expect(stackOf(error)).toMatch(/^n{128}: x/);
  });
});
