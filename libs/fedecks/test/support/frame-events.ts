import { FOUND, type FrameReader } from '../../src/server/websocket/frame-reader.js';

const NAMES = Object.fromEntries(Object.entries(FOUND).map(([name, found]) => [found, name]));

/**
 * Feeds the chunks to a reader, and returns its events as text: `text hello`, `binary 00ff`,
 * `ping nerves`, `part`, `close 1000 bye`, `violation 1002`. Payloads of binary frames are in hex.
 */
export function eventsOf(reader: FrameReader, ...chunks: readonly Buffer[]): string[] {
  const events: string[] = [];
  for (const chunk of chunks) {
    // A copy, because the reader unmasks in place and tests reuse the bytes.
    reader.append(Buffer.from(chunk));
    for (let found = reader.next(); found !== FOUND.nothing; found = reader.next()) {
      const name = NAMES[found]!;
      if (found === FOUND.close) events.push(`${name} ${reader.closeCode} ${reader.closeReason}`.trim());
      else if (found === FOUND.violation) events.push(`${name} ${reader.closeCode}`);
      else events.push(`${name} ${reader.payload.toString(found === FOUND.binary ? 'hex' : 'utf8')}`.trim());
    }
  }
  return events;
}
