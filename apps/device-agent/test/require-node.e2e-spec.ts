import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EXIT } from '../src/cli/exit.js';
import { AgentProgram, type Ended } from './support/agent-program.js';

const root = new URL('../../../', import.meta.url);
const preload = fileURLToPath(new URL('support/old-node.mjs', import.meta.url));
let program: AgentProgram;

beforeAll(async () => (program = await AgentProgram.compile()));

function runOn(version: string, ...args: string[]): Promise<Ended> {
  return program.command(args, { NODE_OPTIONS: `--import=${preload}`, OLD_NODE: version });
}

describe('device-agent', () => {
  it.each(['20.18.3', '18.20.8', '16.20.2'])(
    'reports in one line that Node %s is too old',
    async (version) => {
      for (const command of ['run', 'status']) {
        const { code, stdout, stderr } = await runOn(version, command);
        expect({ code, stdout }).toEqual({ code: EXIT.config, stdout: '' });
        expect(stderr).toMatch(/^device-agent: .*\n$/);
        expect(stderr).toContain(
          `Node 20.19.0 or later is required, but this is Node ${version} (${process.execPath})`,
        );
        expect(stderr).toContain('https://nodejs.org/en/download');
      }
    },
  );

  it.each(['20.19.0', '22.1.0', '100.0.0'])('runs on Node %s', async (version) => {
    expect(await runOn(version, '--version')).toMatchObject({ code: EXIT.ok, stderr: '' });
  });

  it('requires the same Node version as the workspace', () => {
    const { engines } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
      engines: { node: string };
    };
    const guard = readFileSync(new URL('apps/device-agent/src/require-node.ts', root), 'utf8');
    expect(guard).toContain(`MIN_NODE = '${engines.node.replace('>=', '')}.0'`);
  });
});
