export const EMPTY: Buffer = Buffer.alloc(0);

/** Makes a view as Node makes its own, in a third of the time that `subarray` takes. */
export const { [Symbol.species]: View } = Buffer as unknown as {
  readonly [Symbol.species]: new (memory: ArrayBufferLike, offset: number, length: number) => Buffer;
};

/** Copies a part of `bytes` into memory of its own, outside of Node's pool. */
export function copyOf(bytes: Buffer, from: number, to: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(to - from);
  bytes.copy(copy, 0, from, to);
  return copy;
}
