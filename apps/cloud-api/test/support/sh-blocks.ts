import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

/** Whether the programs are installed. */
export function hasPrograms(...names: readonly string[]): boolean {
  return names.every((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0);
}

/** The commands that a document shows, block by block, as somebody runs them in one terminal. */
export class ShBlocks {
  private readonly blocks: readonly string[];
  private readonly unused: Set<string>;
  private prelude = '';

  /**
   * @param directory in which they run.
   * @param env the variables that the document asks for.
   */
  constructor(
    document: URL,
    private readonly directory: string,
    private readonly env: Readonly<Record<string, string>>,
  ) {
    const found = readFileSync(document, 'utf8').matchAll(/^```sh\n([^]*?)^```$/gm);
    this.blocks = Array.from(found, ([, sh = '']) => sh);
    this.unused = new Set(this.blocks);
  }

  /** Those that were not run. */
  get rest(): readonly string[] {
    return [...this.unused];
  }

  /** The block with this text comes before each other one: it defines what these use. */
  define(text: string): void {
    this.prelude = this.take(text);
  }

  /** Runs the only block with this text; rejects when a command of it fails. @returns what it prints. */
  async run(text: string): Promise<string> {
    const env = { PATH: process.env['PATH'], ...this.env };
    const script = `${this.prelude}${this.take(text)}`;
    const { stdout } = await promisify(execFile)('sh', ['-ec', script], { cwd: this.directory, env });
    return stdout;
  }

  private take(text: string): string {
    const [block, ...others] = this.blocks.filter((each) => each.includes(text));
    if (block === undefined || others.length > 0)
      throw new Error(`${others.length + (block === undefined ? 0 : 1)} blocks have the text ${text}`);
    this.unused.delete(block);
    return block;
  }
}
