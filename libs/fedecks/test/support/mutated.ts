/**
 * Valid bytes with a few changes, for fast-check properties: nearly valid input reaches more code
 * than random bytes.
 *
 *     fc.property(mutated([Buffer.from('836101', 'hex')]), (bytes) => ...)
 */
import fc from 'fast-check';

interface Change {
  /** The position, as a fraction of the length. */
  readonly at: number;
  readonly removed: number;
  readonly inserted: Uint8Array;
}

/** @param parts inserted in addition to random bytes. */
export function mutated(seeds: readonly Buffer[], parts: readonly Buffer[] = []): fc.Arbitrary<Buffer> {
  const inserted = fc.oneof(
    fc.uint8Array({ maxLength: 6 }),
    ...(parts.length > 0 ? [fc.constantFrom(...parts)] : []),
  );
  const change = fc.record<Change>({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    removed: fc.nat(6),
    inserted,
  });
  return fc
    .tuple(fc.constantFrom(...seeds), fc.array(change, { maxLength: 4 }))
    .map(([seed, changes]) => changes.reduce(apply, seed));
}

function apply(bytes: Buffer, { at, removed, inserted }: Change): Buffer {
  const start = Math.floor(at * bytes.length);
  return Buffer.concat([bytes.subarray(0, start), inserted, bytes.subarray(start + removed)]);
}
