// Makes an entry for DEVICE_LOGINS_FILE:  node device-password.js <username> <device id>...
// The password is read from standard input, one line, and is not shown.
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { hashPassword } from './devices/password.js';

const [username, ...devices] = process.argv.slice(2);
if (username === undefined || devices.length === 0) {
  console.error('Usage: node device-password.js <username> <device id>...   ("*" for any device)');
  process.exit(2);
}

const unseen = new Writable({ write: (_chunk, _encoding, done) => done() });
if (process.stdin.isTTY) process.stderr.write(`Password of ${username}: `);
const input = createInterface({ input: process.stdin, output: unseen, terminal: process.stdin.isTTY });
const password = await input.question('');
input.close();
if (process.stdin.isTTY) process.stderr.write('\n');
if (password === '') {
  console.error('The password is empty: enter one to create an entry.');
  process.exit(2);
}
console.log(JSON.stringify({ [username]: { password: await hashPassword(password), devices } }, null, 2));
