import { stop } from './result.js';

describe('stop', () => {
  it('has code 1000 and no reason by default', () => {
    expect(stop()).toEqual({ code: 1000, reason: '' });
  });

  it.each([0, 999, 1004, 1005, 1006, 1015, 2000, 2999, 5000, 1.5, NaN])(
    'rejects %d, which must not be sent',
    (code) => {
      expect(() => stop(code)).toThrow(RangeError);
    },
  );

  it('rejects a reason that does not fit into a close frame', () => {
    expect(() => stop(1000, 'é'.repeat(62))).toThrow(/123 bytes/);
    expect(stop(1000, 'é'.repeat(61)).reason).toHaveLength(61);
  });
});
