import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { isPlainObject } from '../commands/fields.js';

/** A command that the cloud may run: a program and its arguments. */
export interface AllowedCommand {
  /** An argument `{name}` stands for the one that the cloud chooses. */
  readonly command: readonly [string, ...string[]];
  /** What the cloud can choose from, by the name of the argument. */
  readonly choices: ReadonlyMap<string, readonly string[]>;
}

export type AllowedCommands = ReadonlyMap<string, AllowedCommand>;

const MAX_FILE_BYTES = 64 * 1024;
const MAX_COMMANDS = 64;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const EXAMPLE = '{ "disk": ["df", "-h"] }';
const WRITABLE_BY_OTHERS = 0o022;

/** @param problems takes a sentence for everything that is wrong with the file. */
export async function readExecFile(path: string, problems: string[]): Promise<AllowedCommands> {
  const allowed = new Map<string, AllowedCommand>();
  const say = (problem: string): void => void problems.push(`FEDECKS_EXEC_FILE ${problem}`);
  const text = await textOf(path, say);
  if (text === undefined) return allowed;
  let commands: unknown;
  try {
    commands = JSON.parse(text);
  } catch {
    // Said below.
  }
  if (!isPlainObject(commands)) {
    say(`must name a file with a JSON object, for example ${EXAMPLE}.`);
    return allowed;
  }
  const entries = Object.entries(commands);
  if (entries.length > MAX_COMMANDS) say(`must name a file with at most ${MAX_COMMANDS} commands.`);
  for (const [name, value] of entries) {
    const command = readCommand(value);
    const where = `: the command ${JSON.stringify(name.slice(0, 64))}`;
    if (!NAME.test(name)) say(`${where} needs a name of 1 to 64 letters, digits, "-" and "_".`);
    else if (typeof command === 'string') say(`${where} ${command}.`);
    else allowed.set(name, command);
  }
  return allowed;
}

/** Undefined if it cannot be used, which `say` is told. */
async function textOf(path: string, say: (problem: string) => void): Promise<string | undefined> {
  try {
    // A FIFO would hang whoever opens it.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = await file.stat();
      if (!stats.isFile() || stats.size > MAX_FILE_BYTES) {
        say(`must name a regular file of at most ${MAX_FILE_BYTES} bytes.`);
        return undefined;
      }
      if ((stats.mode & WRITABLE_BY_OTHERS) !== 0) {
        say('names a file that other users can change: run chmod go-w on it.');
        return undefined;
      }
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    say(
      `names a file that the agent cannot read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'}).`,
    );
    return undefined;
  }
}

/** The command, or what is wrong with it. */
function readCommand(value: unknown): AllowedCommand | string {
  if (Array.isArray(value)) return readCommand({ command: value as unknown[] });
  if (!isPlainObject(value) || Object.keys(value).some((key) => key !== 'command' && key !== 'arguments'))
    return 'must be ["program", "argument", ...], or an object with "command" and "arguments"';
  const { command, arguments: choices = {} } = value;
  if (!isList(command) || !isProgram(command[0]))
    return 'must be a list of strings that begins with a program: its name, or an absolute path';
  const [program, ...rest] = command;
  if (!isPlainObject(choices)) return 'must have an object as "arguments"';
  const placeholders = new Set(rest.flatMap((argument) => placeholderIn(argument) ?? []));
  const declared = new Map<string, readonly string[]>();
  for (const [name, values] of Object.entries(choices)) {
    if (!NAME.test(name) || !isList(values) || values.length === 0)
      return 'must have lists of strings in "arguments", which the cloud can choose from';
    if (!placeholders.has(name)) return `declares the argument "${name}", but does not use it as "{${name}}"`;
    declared.set(name, values);
  }
  const undeclared = [...placeholders].find((name) => !declared.has(name));
  if (undeclared !== undefined) return `uses "{${undeclared}}", which "arguments" does not declare`;
  return { command: [program, ...rest], choices: declared };
}

/** The name of the argument that is to be put in place of this one. */
export function placeholderIn(argument: string): string | undefined {
  return /^\{([A-Za-z0-9_-]+)\}$/.exec(argument)?.[1];
}

/** A string with a NUL cannot be an argument. */
function isList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string' && !each.includes('\0'));
}

function isProgram(value: string | undefined): value is string {
  return value !== undefined && value !== '' && (value.startsWith('/') || !value.includes('/'));
}
