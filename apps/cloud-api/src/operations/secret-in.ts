import { readFileSync } from 'node:fs';

/** A secret with fewer different characters was typed, and not generated. */
const MIN_DIFFERENT = 8;

/**
 * The secret in the variable, or in the file that `<name>_FILE` names; empty where neither is set. Whitespace around it
 * is no part of it. Adds to `problems` what is wrong, without the secret.
 */
export function secretIn(env: NodeJS.ProcessEnv, name: string, problems: string[]): string {
  const { [name]: given = '', [`${name}_FILE`]: path = '' } = env;
  if (given !== '' && path !== '')
    problems.push(`${name} and ${name}_FILE are both set: remove one of them.`);
  if (given !== '' || path === '') return given.trim();
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    problems.push(`${name}_FILE names a file that cloud-api cannot read (${code}).`);
    return '';
  }
}

/** Whether a secret is short, in bytes of UTF-8, or easy to guess. */
export function isWeak(secret: string, minBytes: number): boolean {
  return Buffer.byteLength(secret) < minBytes || new Set(secret).size < MIN_DIFFERENT;
}
