/**
 * What `work` resolves to. It goes on where it takes longer.
 * @param onTooLate makes what this rejects with when `work` takes longer than so many milliseconds.
 */
export async function inTime<T>(work: Promise<T>, ms: number, onTooLate: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(onTooLate()), ms);
  });
  try {
    return await Promise.race([work, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
