import { readFileSync } from 'node:fs';

/**
 * The instructions of a Dockerfile: `{ name, flags, args, shell }`. `args` are the words, or the strings of the JSON
 * form; `shell` is the text if it is not JSON. Sufficient for the Dockerfiles here: no heredocs, no escapes.
 */
export function instructionsOf(path) {
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line));
  return lines
    .join('\n')
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => {
      const [, name, rest] = /^\s*(\w+)\s+(.*)$/.exec(line) ?? [];
      if (name === undefined) throw new Error(`${path}: not an instruction: ${line}`);
      const [flagText] = /^(--\S+\s+)*/.exec(rest);
      const text = rest.slice(flagText.length);
      const flags = Object.fromEntries(
        [...flagText.matchAll(/--([\w-]+)=(\S+)/g)].map(([, key, value]) => [key, value]),
      );
      const json = /^\[.*\]$/.test(text) ? JSON.parse(text) : undefined;
      return {
        name: name.toUpperCase(),
        flags,
        args: json ?? text.split(/\s+/),
        shell: json ? undefined : text,
      };
    });
}

/** Whether .dockerignore excludes a path, relative to the context: the last matching pattern decides. */
export function ignores(path) {
  const rules = readFileSync(path, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ out: !line.startsWith('!'), pattern: regularExpression(line.replace(/^!/, '')) }));
  return (file) => rules.reduce((out, rule) => (rule.pattern.test(file) ? rule.out : out), false);
}

/** A pattern matches a path and everything below. */
function regularExpression(pattern) {
  const source = pattern
    .split(/(\*\*\/|\*|\?)/)
    .map(
      (part) =>
        ({ '**/': '(.*/)?', '*': '[^/]*', '?': '[^/]' })[part] ?? part.replace(/[.+^$(){}|[\]\\]/g, '\\$&'),
    )
    .join('');
  return new RegExp(`^${source}(/|$)`);
}
