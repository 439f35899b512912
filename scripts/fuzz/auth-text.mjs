/** The text of an auth header, written by hand: a map of binaries, in Base64 (PROTOCOL.md §1.2). */
export function authHeader(fields) {
  const entries = Object.entries(fields);
  const parts = [Buffer.from([131, 116, 0, 0, 0, entries.length])];
  for (const text of entries.flat()) parts.push(Buffer.from([109, 0, 0, 0, text.length]), Buffer.from(text));
  return Buffer.concat(parts).toString('base64');
}
