import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** The id of the installation, and the serial number of a board: SD cards are cloned together with the first. */
const SOURCES = ['/etc/machine-id', '/sys/firmware/devicetree/base/serial-number'];

/** 16 bytes that differ on another machine, and for another device id. */
export function machineHash(deviceId: string, sources: readonly string[] = SOURCES): Uint8Array {
  const hash = createHash('sha256').update(JSON.stringify(deviceId));
  for (const path of sources) hash.update(`\n${JSON.stringify(readIfPossible(path))}`);
  return Uint8Array.from(hash.digest().subarray(0, 16));
}

function readIfPossible(path: string): string {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    return '';
  }
}
