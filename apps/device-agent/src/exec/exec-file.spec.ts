import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExecCommands } from './exec-commands.js';
import { type AllowedCommands, readExecFile } from './exec-file.js';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'exec-file-'));
  path = join(directory, 'exec.json');
});
afterEach(() => rmSync(directory, { recursive: true }));

async function problemsIn(text: string): Promise<string[]> {
  writeFileSync(path, text, { mode: 0o600 });
  const problems: string[] = [];
  await readExecFile(path, problems);
  return problems;
}

async function read(commands: unknown): Promise<AllowedCommands> {
  writeFileSync(path, JSON.stringify(commands), { mode: 0o600 });
  const problems: string[] = [];
  const allowed = await readExecFile(path, problems);
  expect(problems).toEqual([]);
  return allowed;
}

const JOURNAL = { command: ['journalctl', '-u', '{unit}'], arguments: { unit: ['nginx', 'ssh'] } };

describe('the file of FEDECKS_EXEC_FILE', () => {
  it('names commands, with the arguments that the cloud can choose', async () => {
    expect(await read({ disk: ['/bin/df', '-h', '{literal', 'a{unit}'], journal: JOURNAL })).toEqual(
      new Map([
        ['disk', { command: ['/bin/df', '-h', '{literal', 'a{unit}'], choices: new Map() }],
        ['journal', { command: JOURNAL.command, choices: new Map([['unit', ['nginx', 'ssh']]]) }],
      ]),
    );
  });

  it.each([
    ['no JSON', '{', /JSON object/],
    ['a list', '[]', /JSON object/],
    ['a command without a program', '{ "a": [] }', /begins with a program/],
    ['a line for a shell', '{ "a": "df -h" }', /must be \["program"/],
    ['a program by a relative path', '{ "a": ["./df"] }', /absolute path/],
    ['an argument that is no string', '{ "a": ["df", 1] }', /list of strings/],
    ['a NUL', '{ "a": ["df", "a\\u0000b"] }', /list of strings/],
    ['an undeclared argument', '{ "a": ["df", "{unit}"] }', /does not declare/],
    ['an unused argument', '{ "a": { "command": ["df"], "arguments": { "b": ["c"] } } }', /does not use/],
    ['no choice', '{ "a": { "command": ["df", "{b}"], "arguments": { "b": [] } } }', /choose from/],
    ['any text as choice', '{ "a": { "command": ["df", "{b}"], "arguments": { "b": "*" } } }', /choose from/],
    ['a chosen program', '{ "a": { "command": ["{b}"], "arguments": { "b": ["df"] } } }', /does not use/],
    ['an unknown field', '{ "a": { "command": ["df"], "shell": true } }', /must be \["program"/],
    ['a name with a path', '{ "../a": ["df"] }', /needs a name/],
  ])('is refused with %s', async (_what, text, problem) => {
    expect(await problemsIn(text)).toEqual([expect.stringMatching(problem)]);
  });

  it('is refused with all its problems named', async () => {
    const text = JSON.stringify({ 'a b': ['df'], c: [], d: 7 });
    expect((await problemsIn(text)).map((problem) => /"(.*?)"/.exec(problem)?.[1])).toEqual([
      'a b',
      'c',
      'd',
    ]);
  });

  it('is refused if others can change it, or if it is no file of at most 64 KiB', async () => {
    const problem = async (): Promise<string> => {
      const problems: string[] = [];
      await readExecFile(path, problems);
      expect(problems).toHaveLength(1);
      return problems.join();
    };
    expect(await problem()).toContain('ENOENT');
    writeFileSync(path, '{}');
    chmodSync(path, 0o602);
    expect(await problem()).toContain('chmod go-w');
    writeFileSync(path, ' '.repeat(70_000));
    expect(await problem()).toContain('regular file');
    rmSync(path);
    execFileSync('mkfifo', [path]);
    expect(await problem()).toContain('regular file');
    rmSync(path);
    mkdirSync(path);
    expect(await problem()).toContain('regular file');
  });
});

describe('what the cloud asks to run', () => {
  it('is a command of the file, with arguments of the file', async () => {
    const commands = new ExecCommands(await read({ disk: ['df', '-h'], journal: JOURNAL }));
    expect(commands.names).toEqual(['disk', 'journal']);
    expect(commands.find({ name: 'disk' })).toEqual({ name: 'disk', program: 'df', args: ['-h'] });
    expect(commands.find({ name: 'journal', arguments: { unit: 'ssh' } })).toEqual({
      name: 'journal',
      program: 'journalctl',
      args: ['-u', 'ssh'],
    });
  });

  it.each([
    ['nothing', null],
    ['a list', ['disk']],
    ['a text', 'disk'],
    ['a map', new Map([['name', 'disk']])],
    ['no name', {}],
    ['a number as name', { name: 7 }],
    ['an unknown name', { name: 'df' }],
    ['a path', { name: '/bin/df' }],
    ['a path to it', { name: '../disk' }],
    ['a name with an argument', { name: 'disk -h' }],
    ['a name with a shell', { name: 'disk; reboot' }],
    ['a name of Object', { name: 'constructor' }],
    ['the name of a prototype', { name: '__proto__' }],
    ['a similar name', { name: 'disk\u200b' }],
    ['a name as a list', { name: ['disk'] }],
    ['an argument that is not declared', { name: 'disk', arguments: { path: '/' } }],
    ['a list of arguments', { name: 'disk', arguments: ['/'] }],
    ['no argument', { name: 'journal' }],
    ['an argument that is no choice', { name: 'journal', arguments: { unit: '--file=/etc/shadow' } }],
    ['a choice with more', { name: 'journal', arguments: { unit: 'ssh\0' } }],
    ['a choice in a list', { name: 'journal', arguments: { unit: ['ssh'] } }],
    ['a field of its own', { name: 'disk', env: { LD_PRELOAD: '/tmp/x' } }],
    ['a huge name', { name: 'x'.repeat(1_000_000) }],
  ])('is refused with %s', async (_what, asked) => {
    const commands = new ExecCommands(await read({ disk: ['df', '-h'], journal: JOURNAL }));
    let message = '';
    try {
      commands.find(asked);
    } catch (error) {
      ({ message } = error as Error);
    }
    expect(message).not.toBe('');
    expect(message.length).toBeLessThan(1_000);
  });

  it('is refused where the file is not configured', () => {
    expect(() => new ExecCommands(undefined).find({ name: 'disk' })).toThrow('exec is off on this device');
  });
});
