// Instruments the code of a target with counters, so that the fuzzer sees which branches an input takes.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parse } from 'acorn';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));
const countersFile = fileURLToPath(new URL('counters.mjs', import.meta.url));

/**
 * Bundles `targets/<name>.mjs` and imports it. Each branch of the library in the bundle increments its own
 * counter. Packages are neither bundled nor counted.
 * @returns the target's exports, and the `counters` in use: a Uint32Array.
 */
export async function loadTarget(name) {
  // Inside the project, so that the bundle resolves the same packages as the library.
  const folder = await mkdtemp(join(root, 'node_modules', '.fuzz-'));
  let counted = 0;
  try {
    const file = join(folder, `${name}.mjs`);
    await build({
      stdin: {
        contents: `export * from './${name}.mjs'; export { counters } from '../counters.mjs';`,
        resolveDir: fileURLToPath(new URL('targets', import.meta.url)),
      },
      outfile: file,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      packages: 'external',
      logLevel: 'error',
      plugins: [
        {
          name: 'count branches',
          setup(plugin) {
            plugin.onLoad({ filter: /libs[/\\]fedecks[/\\]dist[/\\].*\.js$/ }, async ({ path }) => {
              const { code, next } = countBranches(await readFile(path, 'utf8'), counted);
              counted = next;
              return { contents: `import { counters as $n } from ${JSON.stringify(countersFile)};${code}` };
            });
          },
        },
      ],
    });
    const { counters, ...target } = await import(pathToFileURL(file).href);
    return { target, counters: counters.subarray(0, counted) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The child nodes that start a branch, by the type of the syntax node. */
const BRANCHES = {
  IfStatement: ['consequent', 'alternate'],
  ConditionalExpression: ['consequent', 'alternate'],
  LogicalExpression: ['right'],
  AssignmentPattern: ['right'],
  ForStatement: ['body'],
  ForInStatement: ['body'],
  ForOfStatement: ['body'],
  WhileStatement: ['body'],
  DoWhileStatement: ['body'],
  CatchClause: ['body'],
  FunctionDeclaration: ['body'],
  FunctionExpression: ['body'],
  ArrowFunctionExpression: ['body'],
};

/** Inserts a counter before each branch. @param first the number of the first counter. */
function countBranches(source, first) {
  let next = first;
  const before = [];
  const after = [];
  const count = () => `$n[${next++}]++`;
  const wrap = ({ start, end }, open, close) => {
    before.push({ at: start, text: open });
    // If two branches end at one position, closes the inner one first.
    after.unshift({ at: end, text: close });
  };
  visit(parse(source, { ecmaVersion: 'latest', sourceType: 'module' }), (node) => {
    if (node.type === 'SwitchCase' && node.consequent.length > 0)
      before.push({ at: node.consequent[0].start, text: `${count()};` });
    for (const name of BRANCHES[node.type] ?? []) {
      const branch = node[name];
      if (!branch) continue;
      if (branch.type === 'BlockStatement') before.push({ at: branch.start + 1, text: `${count()};` });
      else if (branch.type.endsWith('Statement')) wrap(branch, `{${count()};`, '}');
      else wrap(branch, `(${count()},`, ')');
    }
  });
  // The stable sort keeps closings before openings at the same position.
  const inserts = [...after, ...before].sort((a, b) => a.at - b.at);
  let code = '';
  let from = 0;
  for (const { at, text } of inserts) {
    code += source.slice(from, at) + text;
    from = at;
  }
  return { code: code + source.slice(from), next };
}

function visit(node, onNode) {
  onNode(node);
  for (const child of Object.values(node)) {
    for (const each of Array.isArray(child) ? child : [child]) {
      if (typeof each?.type === 'string') visit(each, onNode);
    }
  }
}
