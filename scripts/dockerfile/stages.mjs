import { spawnSync } from 'node:child_process';
import { chownSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, isAbsolute, join, relative } from 'node:path';
import { ignores, instructionsOf } from './parse.mjs';

const isRoot = process.getuid() === 0;

/**
 * Executes a Dockerfile in folders instead of images: each stage starts as an empty folder, and this machine
 * stands in for its base image. Returns the last stage: `{ root, env, user, volumes, entrypoint, cmd, health }`.
 * @param installed a node_modules with which a stage may begin in place of installing the same.
 */
export function buildStages(dockerfile, context, scratch, installed) {
  const stages = new Map();
  let stage;
  for (const { name, flags, args, shell } of instructionsOf(dockerfile)) {
    switch (name) {
      case 'FROM': {
        stage = {
          root: join(scratch, `stage-${stages.size}`),
          env: {},
          cwd: '/',
          volumes: [],
          cmd: [],
          base: args[0],
        };
        mkdirSync(stage.root);
        stages.set(args[2] ?? String(stages.size), stage);
        break;
      }
      case 'WORKDIR':
        stage.cwd = args[0];
        mkdirSync(join(stage.root, stage.cwd), { recursive: true });
        break;
      case 'ENV':
        for (const arg of args) stage.env[arg.slice(0, arg.indexOf('='))] = arg.slice(arg.indexOf('=') + 1);
        break;
      case 'COPY':
        copy(stage, flags, args, flags.from ? stages.get(flags.from).root : context);
        break;
      case 'RUN':
        linkInstalled(stage, installed);
        run(stage, shell);
        break;
      case 'VOLUME':
        stage.volumes.push(...args);
        break;
      case 'USER':
        stage.user = args[0];
        break;
      case 'HEALTHCHECK':
        stage.health = JSON.parse(/CMD (\[.*\])$/.exec(shell)[1]);
        break;
      case 'ENTRYPOINT':
      case 'CMD':
        if (shell !== undefined)
          throw new Error(`${name} must have the JSON form: a shell keeps SIGTERM to itself`);
        stage[name.toLowerCase()] = args;
        break;
      case 'STOPSIGNAL':
        stage.stopSignal = args[0];
        break;
      case 'EXPOSE':
        break;
      default:
        throw new Error(`${name} is not supported by this check`);
    }
  }
  return stage;
}

/** The files in the build context. */
export function copyContext(repository, target) {
  const ignored = ignores(join(repository, '.dockerignore'));
  const walk = (directory) => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const source = join(directory, entry.name);
      const path = relative(repository, source);
      if (['.git', 'node_modules'].includes(entry.name)) continue;
      if (entry.isDirectory()) walk(source);
      else if (!ignored(path)) cpSync(source, join(target, path));
    }
  };
  walk(repository);
}

function copy(stage, flags, args, from) {
  const target = args.at(-1);
  const into = join(stage.root, isAbsolute(target) ? target : join(stage.cwd, target));
  const sources = args.slice(0, -1).map((source) => join(from, source));
  for (const source of sources) {
    if (!existsSync(source)) throw new Error(`COPY: ${relative(from, source)}  does not exist`);
    // COPY copies the contents of a directory, and a file into a target that ends with a slash.
    const named = !statSync(source).isDirectory() && /(^|\/)\.?$/.test(target);
    cpSync(source, named ? join(into, basename(source)) : into, { recursive: true, verbatimSymlinks: true });
  }
  if (flags.chown !== undefined && isRoot) chownSync(into, ...flags.chown.split(':').map(Number));
}

/**
 * Hard-links `installed` into a stage that has a package-lock.json and nothing installed. `scripts/setup.mjs` installs
 * nothing where its stamp says that this lock is installed. A stage with variables may install something else.
 */
function linkInstalled(stage, installed) {
  const directory = join(stage.root, stage.cwd);
  const target = join(directory, 'node_modules');
  if (!existsSync(join(directory, 'package-lock.json')) || existsSync(target)) return;
  if (Object.keys(stage.env).length > 0) return;
  // It fails between file systems.
  const { status } = spawnSync('cp', ['-al', installed, target], { stdio: 'ignore' });
  if (status !== 0) rmSync(target, { recursive: true, force: true });
}

function run(stage, command) {
  // Passes on this machine's registry, certificates and npm cache, and no other variables.
  const npm = Object.entries(process.env).filter(([key]) => /^npm_config_|^(HOME|PATH)$/i.test(key));
  const { status } = spawnSync('/bin/sh', ['-c', command], {
    cwd: join(stage.root, stage.cwd),
    env: {
      ...Object.fromEntries(npm),
      npm_config_prefer_offline: 'true',
      npm_config_loglevel: 'error',
      ...stage.env,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) throw new Error(`RUN ${command}: status ${status}`);
}
