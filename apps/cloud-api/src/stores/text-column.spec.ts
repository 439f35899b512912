import fc from 'fast-check';
import { textOfColumn, textToColumn } from './text-column.js';

describe('A text in a column', () => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: hostileUnit() }), (text) => {
        expect(textOfColumn(textToColumn(text))).toBe(text);
      }),
    );
  });

  it('holds nothing that Postgres refuses, or that UTF-8 cannot say', () => {
    fc.assert(
      fc.property(fc.string({ unit: hostileUnit() }), (text) => {
        const column = textToColumn(text);
        expect(column).not.toContain('\0');
        expect(Buffer.from(column).toString()).toBe(column);
      }),
    );
  });

  it('is the text itself where that is ordinary', () => {
    for (const text of ['greenhouse-1', 'a\'b"c\\d%_', 'ключ', '\u{1f331}'])
      expect(textToColumn(text)).toBe(text);
  });
});

/** Single code units: what is put together of them has halves of pairs, and escapes of its own. */
function hostileUnit(): fc.Arbitrary<string> {
  return fc.constantFrom('\0', '\u001a', '0', 'a', '\ud83c', '\udf31', '\u{1f331}', "'", '\n', 'ü');
}
