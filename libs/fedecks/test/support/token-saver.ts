/**
 * Saves tokens to the given directory, one after another: `from`, `from + 1`, and so on, until it is killed. Writes the
 * number of each saved token to its standard output.
 */
import { writeSync } from 'node:fs';
import { FileTokenStore } from '@fedecks/nest/client';

const [directory = '', from = '0'] = process.argv.slice(2);
const store = new FileTokenStore(directory, 'nerves-242a');
for (let number = Number(from); ; number++) {
  await store.save(`token-${number}`);
  writeSync(1, `${number}\n`);
}
