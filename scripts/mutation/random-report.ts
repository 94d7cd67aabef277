// Renders the outcome of random mutations (scripts/mutate.ts): one line, and the table of survivors
// in test/mutation/README.md.

import { readFile, writeFile } from 'node:fs/promises';

export interface Outcome {
  file: string;
  line: number;
  /** The code, and the code that replaces it; shortened. */
  before: string;
  after: string;
  /** Undefined for a survivor. */
  foundBy: 'types' | 'unit tests' | 'simulated lives' | undefined;
}

export function renderSummary(outcomes: readonly Outcome[]): string {
  const count = (by: Outcome['foundBy']) => outcomes.filter(({ foundBy }) => foundBy === by).length;
  const found = outcomes.length - count(undefined);
  const percent = (part: number, whole: number) => `${((100 * part) / whole).toFixed(1)} %`;
  const [typed, total] = [count('types'), outcomes.length];
  return [
    `${found} of ${total} random mutations found (${percent(found, total)}): `,
    `${typed} by the types, ${count('unit tests')} by unit tests, ${count('simulated lives')} by simulated lives; `,
    `${percent(found - typed, total - typed)} of those that the types allow`,
  ].join('');
}

/** `fleet: 38 of 40`, for each folder. */
export function renderFolders(outcomes: readonly Outcome[]): string {
  const byFolder = Map.groupBy(outcomes, ({ file }) => file.split('/')[0] ?? '');
  const lines = [...byFolder].map(([folder, all]) => {
    const found = all.filter(({ foundBy }) => foundBy !== undefined);
    return `${folder}: ${found.length} of ${all.length}`;
  });
  return lines.toSorted().join(', ');
}

const heading = '## Survivors';

const escape = (cell: string) => cell.replaceAll('|', '\\|');
const code = (cell: string) => (cell === '' ? 'nothing' : `\`\`${escape(cell)}\`\``);

const keyOf = ({ file, before, after }: Outcome) => `${file} | ${code(before)} | ${code(after)}`;

/** The reasons in the table, by file and mutation; the line moves with each change of the file. */
function parseReasons(text: string): Map<string, string> {
  return new Map(
    [...text.matchAll(/^\| (\S+?):\d+ \| (.*) \| ([^|]*) \|$/gm)].map(([, file, mutation, why = '']) => [
      `${file} | ${mutation}`,
      why,
    ]),
  );
}

/** Replaces the table. The text above it stays, and so does the reason of each survivor. */
export async function keepSurvivors(path: string, outcomes: readonly Outcome[], seed: string): Promise<void> {
  const text = await readFile(path, 'utf8');
  const [head = ''] = text.split(heading);
  const reasons = parseReasons(text);
  const rows = outcomes
    .filter(({ foundBy }) => foundBy === undefined)
    .map(
      (each) =>
        `| ${each.file}:${each.line} | ${code(each.before)} | ${code(each.after)} | ${reasons.get(keyOf(each)) ?? '–'} |`,
    );
  const body = [
    heading,
    '',
    `Seed ${seed}: ${renderSummary(outcomes)} (${renderFolders(outcomes)}).`,
    '',
    '| where | code | mutation | why no test has to find it |',
    '|---|---|---|---|',
    ...rows.toSorted(),
    '',
  ];
  await writeFile(path, `${head.trimEnd()}\n\n${body.join('\n')}`);
}
