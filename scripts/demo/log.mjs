// All output of the demo: aligned, coloured on a terminal only, and without secrets.

const COLOURS = { demo: 36, cloud: 32, 'cloud 2': 34, device: 33, matey: 33, live: 35 };
const WIDTH = Math.max(...Object.keys(COLOURS).map((name) => name.length));
const REDACTED = '[secret]';

const secrets = new Set();
/** Whether `say` has suppressed a secret. */
export let leaked = false;

/** From now on, `say` suppresses these secrets. */
export function keepSecret(...values) {
  for (const value of values) secrets.add(value);
}

/** Prints a text, each line prefixed with the speaker. */
export function say(who, text) {
  for (const line of text.split('\n')) process.stdout.write(`${prefix(who)} ${withoutSecrets(line)}\n`);
}

/** Prints the title of the next part of the demo. */
export function heading(text) {
  process.stdout.write('\n');
  say('demo', bold(text));
}

function prefix(who) {
  const name = `${who.padEnd(WIDTH)}|`;
  return inColour() ? `\x1b[${COLOURS[who]}m${name}\x1b[0m` : name;
}

function bold(text) {
  return inColour() ? `\x1b[1m${text}\x1b[0m` : text;
}

function inColour() {
  return process.stdout.isTTY && !process.env.NO_COLOR;
}

function withoutSecrets(line) {
  let shown = line;
  for (const secret of secrets) shown = shown.replaceAll(secret, REDACTED);
  if (shown !== line) leaked = true;
  return shown;
}
