import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, lstatSync, mkdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

const isRoot = process.getuid() === 0;
/** The command that creates a mount namespace, in a user namespace if necessary; undefined if not permitted. */
const UNSHARE = [
  ['--mount', '--propagation=private'],
  ['--map-root-user', '--mount', '--propagation=private'],
].find((options) => spawnSync('unshare', [...options, 'true']).status === 0);

/** Directories that stand in for the base image, read-only. */
const BASE = ['usr', 'bin', 'sbin', 'lib', 'lib64', 'etc'];
const CONFINE = `
root=$1 volumes=$2; shift 2
mount --bind "$root" "$root"
for directory in ${BASE.join(' ')}; do
  [ -d "$root/$directory" ] && [ ! -L "$root/$directory" ] || continue
  mount --rbind "/$directory" "$root/$directory"
  mount -o remount,bind,ro "$root/$directory"
done
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
for volume in $volumes; do mount --bind "$root$volume" "$root$volume"; done
mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"`;

/** Runs programs in the last stage of a Dockerfile, as its user, with its environment, read-only except for its volumes. */
export class Container {
  #image;
  #privileges;

  constructor(image) {
    this.#image = image;
    const [uid, gid] = image.user.split(':');
    this.#privileges = isRoot
      ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs']
      : ['setpriv', '--no-new-privs'];
    for (const directory of [...BASE, 'proc', 'dev', '.node']) {
      const path = join(image.root, directory);
      if (existsSync(path)) continue;
      const link = existsSync(`/${directory}`) && lstatSync(`/${directory}`).isSymbolicLink();
      if (link) symlinkSync(readlinkSync(`/${directory}`), path);
      else mkdirSync(path);
    }
    // Node is on the PATH of the image, wherever this machine has it.
    copyFileSync(process.execPath, join(image.root, '.node/node'));
    if (!this.mounts) spawnSync('chmod', ['-R', 'a-w', ...this.#fixedPaths()]);
  }

  /** Whether it has its own file systems. If not, only file modes prevent writes. */
  get mounts() {
    return UNSHARE !== undefined;
  }

  /** Starts a program with the image's environment plus `env`, and nothing else. */
  spawn(command, env, options) {
    const { root, volumes } = this.#image;
    const paths = `${this.mounts ? '' : root}/.node:/usr/local/bin:/usr/bin:/bin`;
    const all = { PATH: paths, ...this.#image.env, ...env };
    const variables = Object.entries(all).map(
      ([key, value]) => `${key}=${key === 'PATH' ? value : this.#here(value)}`,
    );
    const program = [
      ...this.#privileges,
      'env',
      '-i',
      ...variables,
      ...command.map((word) => this.#here(word)),
    ];
    if (!this.mounts) return spawn(program[0], program.slice(1), { cwd: '/', ...options });
    const confined = [...UNSHARE, '/bin/sh', '-ec', CONFINE, 'sh', root, volumes.join(' '), ...program];
    return spawn('unshare', confined, { cwd: '/', ...options });
  }

  /** Without its own root, maps paths such as /opt/... into the stage's folder. */
  #here(word) {
    return !this.mounts && /^\/(opt|var\/lib|run)\//.test(word) ? this.#image.root + word : word;
  }

  #fixedPaths() {
    const { root, volumes } = this.#image;
    return ['opt', '.node'].map((name) => join(root, name)).filter((path) => !volumes.includes(path));
  }
}
