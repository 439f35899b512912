import { readFile, stat } from 'node:fs/promises';
import { isPasswordHash } from './password.js';

/** Who may log in, and as which devices. */
export interface Login {
  /** Made by `hashPassword`. */
  readonly password: string;
  /** Device ids, or `*` for any. */
  readonly devices: readonly string[];
}

/** The logins of the devices, by username. It is read again when the file has changed, so a new device needs no restart. */
export class LoginsFile {
  private logins: ReadonlyMap<string, Login> = new Map();
  private version = '';

  /** @param path undefined: there is no file, and no login. */
  constructor(private readonly path: string | undefined) {}

  /** The login of that name, if there is one. Rejects when the file cannot be read or has a mistake. */
  async find(username: string): Promise<Login | undefined> {
    if (this.path === undefined) return undefined;
    // Before the file is read: a change while it is read is noticed by the next login.
    const { ino, size, ctimeNs } = await stat(this.path, { bigint: true });
    const version = `${ino} ${size} ${ctimeNs}`;
    if (version !== this.version) {
      this.logins = parseLogins(await readFile(this.path, 'utf8'));
      this.version = version;
    }
    return this.logins.get(username);
  }
}

/**
 * Reads `{ "<username>": { "password": "$argon2id$...", "devices": ["<device id>"] } }`.
 * @throws {Error} saying what is wrong, without anything of the file's contents but usernames.
 */
export function parseLogins(text: string): ReadonlyMap<string, Login> {
  const entries = Object.entries(parsedObject(text));
  for (const [username, login] of entries) {
    const { password, devices } = (login ?? {}) as Partial<Record<keyof Login, unknown>>;
    if (!isPasswordHash(password)) {
      throw new Error(
        `the "password" of ${JSON.stringify(username)} is not a hash: create one with device-password.js.`,
      );
    }
    if (!Array.isArray(devices) || !devices.every((id) => typeof id === 'string')) {
      throw new Error(
        `the "devices" of ${JSON.stringify(username)} must be an array of device ids, or ["*"] for any.`,
      );
    }
  }
  return new Map(entries as [string, Login][]);
}

function parsedObject(text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes what it could not read.
    throw new Error('it is not JSON.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(
      'it must contain an object: { "<username>": { "password": "$argon2id$...", "devices": [...] } }.',
    );
  }
  return value;
}
