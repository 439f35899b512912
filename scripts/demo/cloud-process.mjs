import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AppProcess } from './app-process.mjs';

const built = fileURLToPath(new URL('../../dist/cloud-api/apps/cloud-api/src', import.meta.url));

/**
 * Resolves with the HTTP address of a cloud, an {@link AppProcess}, once it serves. On a busy machine it listens before its
 * embedded database has started, which keeps it from answering anybody for many seconds.
 */
export async function originOf(cloud) {
  const [, origin] = await cloud.line(/^Listening on (http:\S+)/);
  await cloud.line(/^The database is /);
  return origin;
}

/** `apps/cloud-api` on this machine, which accepts one device by its username and password. */
export class CloudProcess extends AppProcess {
  /** @param directory for the logins file. */
  constructor(directory, device, { username, password }) {
    const tool = join(built, 'device-password.js');
    const { stdout } = spawnSync(process.execPath, [tool, username, device], {
      input: `${password}\n`,
      encoding: 'utf8',
    });
    const logins = join(directory, 'logins.json');
    writeFileSync(logins, stdout, { mode: 0o600 });
    super('cloud', [join(built, 'main.js')], {
      HOST: '127.0.0.1',
      PORT: '0',
      FEDECKS_SECRET: randomBytes(48).toString('base64url'),
      API_KEY: randomBytes(24).toString('base64url'),
      LOG_FORMAT: 'text',
      DEVICE_LOGINS_FILE: logins,
      DATA_DIR: join(directory, 'cloud'),
    });
  }

  /** Resolves with the device URL once it serves. */
  async url() {
    return `${(await originOf(this)).replace('http:', 'ws:')}/fedecks/websocket`;
  }
}
