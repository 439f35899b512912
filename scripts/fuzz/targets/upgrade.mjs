// The upgrade path: every request must be answered or closed, without a 500, and the next device must be served.
import { converse, HonestDevice, startCloud, stopCloud } from '../cloud.mjs';

const RUNS_BETWEEN_DEVICES = 50;
let runs = 0;

export { startCloud as setUp, stopCloud as tearDown };

export async function run(bytes) {
  const answer = (await converse([bytes])).toString('latin1');
  const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(answer) ?? [];
  if (answer !== '' && status === undefined) throw new Error('an answer that is not HTTP/1.1');
  if (status === '500') throw new Error('500 Internal Server Error');
  if (++runs % RUNS_BETWEEN_DEVICES > 0) return;
  const device = await HonestDevice.connect();
  await device.echo();
  device.end();
}
