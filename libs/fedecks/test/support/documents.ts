import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../../..', import.meta.url));

/** A block of code in a document. */
export interface Block {
  /** The document, as a path from the root of the repository. */
  readonly document: string;
  readonly language: string;
  readonly text: string;
  /** The expected output: the block after the word "prints". */
  readonly prints: string | undefined;
}

/** An example that a user can copy into a file: its first line is its name. */
export interface Example extends Block {
  readonly name: string;
}

/** A document's text. @param path from the root of the repository. */
export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** The Markdown documents below a folder, as paths from the root of the repository. */
export function documentsIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.md'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => !/(^|\/)(node_modules|dist)\//.test(path))
    .sort();
}

/** The documents in the package: links between them work wherever it is installed. */
export function packedDocuments(): string[] {
  const { files } = JSON.parse(read('libs/fedecks/package.json')) as { files: string[] };
  const packed = ['README.md', ...files].filter((file) => existsSync(join(root, 'libs/fedecks', file)));
  return packed.flatMap((file) => {
    const path = `libs/fedecks/${file}`;
    if (file === 'dist') return [];
    return file.endsWith('.md') ? [path] : documentsIn(path);
  });
}

/** The blocks of code of a document. */
export function blocksIn(document: string): Block[] {
  const pattern = /^```(\w*)\n([^]*?)^```$(?:\n\nprints\n\n```text\n([^]*?)^```$)?/gm;
  return [...read(document).matchAll(pattern)].map(([, language = '', text = '', prints]) => ({
    document,
    language,
    text,
    prints,
  }));
}

/** The examples of the packed documents. @throws if two have the same name, or a block of TypeScript has none. */
export function examples(): Map<string, Example> {
  const found = new Map<string, Example>();
  for (const block of packedDocuments().flatMap(blocksIn)) {
    if (block.language !== 'ts' && block.language !== 'js') continue;
    const [, name] = /^\/\/ ([\w.-]+\.[mc]?[jt]s)\n/.exec(block.text) ?? [];
    if (name === undefined) {
      throw new Error(`${block.document}: a block begins without the name of its file: ${block.text}`);
    }
    const other = found.get(name);
    if (other) throw new Error(`${name} is in ${other.document} and in ${block.document}`);
    found.set(name, { ...block, name });
  }
  return found;
}
