// npm run sizes: prints how long files and functions are, product and tests apart: lines of code,
// without blank lines and comments, from the compiler's own tree.

import { relative, resolve } from 'node:path';
import { API } from 'typescript/unstable/sync';
import {
  isArrowFunction,
  isConstructorDeclaration,
  isFunctionDeclaration,
  isFunctionExpression,
  isMethodDeclaration,
  type Node,
  type SourceFile,
} from 'typescript/unstable/ast';

interface Size {
  place: string;
  lines: number;
}

const isTest = (file: string) => /^(test|simulator|bench|scripts)\//.test(file) || file.endsWith('.config.ts');

const isFunction = [
  isArrowFunction,
  isConstructorDeclaration,
  isFunctionDeclaration,
  isFunctionExpression,
  isMethodDeclaration,
];

/** The lines from `start` to `end` that hold more than a comment. */
function codeLines(text: string, start: number, end: number): number {
  const code = text.slice(start, end).replaceAll(/^\s*(?:\/\*[^]*?\*\/|\/\/.*)\s*$/gm, '');
  return code.split('\n').filter((line) => line.trim() !== '').length;
}

function functionsOf(source: SourceFile, file: string): Size[] {
  const found: Size[] = [];
  const visit = (node: Node): void => {
    if (isFunction.some((is) => is(node))) {
      const start = node.getStart(source);
      const line = source.text.slice(0, start).split('\n').length;
      found.push({ place: `${file}:${line}`, lines: codeLines(source.text, start, node.end) });
    }
    node.forEachChild(visit);
  };
  visit(source);
  return found;
}

function render(what: string, sizes: readonly Size[]): string {
  const sorted = sizes.toSorted((a, b) => a.lines - b.lines);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  const longest = sorted.at(-1)!;
  return `${what}: ${sizes.length}, median ${at(0.5).lines}, p90 ${at(0.9).lines}, longest ${longest.lines} (${longest.place})`;
}

const api = new API();
const [project] = api.updateSnapshot({ openProjects: [resolve('tsconfig.json')] }).getProjects();
const { program } = project!;
const files: Size[] = [];
const functions: Size[] = [];
for (const path of program.getSourceFileNames()) {
  const file = relative('.', path);
  if (file.startsWith('..') || file.startsWith('node_modules') || file.endsWith('.d.ts')) continue;
  const source = program.getSourceFile(path)!;
  files.push({ place: file, lines: codeLines(source.text, 0, source.text.length) });
  functions.push(...functionsOf(source, file));
}
for (const [what, wanted] of [
  ['product', false],
  ['tests, simulator, bench, scripts', true],
] as const) {
  const own = ({ place }: Size) => isTest(place) === wanted;
  console.log(render(`${what}: files`, files.filter(own)));
  console.log(render(`${what}: functions`, functions.filter(own)));
}
api.close();
