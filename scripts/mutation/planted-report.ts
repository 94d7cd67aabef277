// Renders the results of planted faults (scripts/mutants.ts), as lines and as the table in
// test/simulation/mutants/README.md.

import { readFile, writeFile } from 'node:fs/promises';

export interface Result {
  name: string;
  fault: string;
  /** The finding, by the method that found the fault. */
  found: { test?: string; life?: string };
  /** The reason why the patch could not be applied. */
  unplanted?: string;
}

export function isFound({ found }: Result): boolean {
  return found.test !== undefined || found.life !== undefined;
}

export function renderLine({ name, fault, found, unplanted }: Result): string {
  const { test, life } = found;
  const finders = [test && `unit test: ${test}`, life && `simulation: ${life}`].filter((each) => each !== undefined);
  const what = unplanted === undefined ? finders : [`DOES NOT APPLY: ${unplanted}`];
  return [`${name}: ${fault}`, ...(what.length === 0 ? ['NOT FOUND'] : what).map((each) => `    ${each}`)].join('\n');
}

export function renderConclusion(results: readonly Result[]): string {
  const living = results.filter((result) => !isFound(result)).map(({ name }) => name);
  const lives = results.filter(({ found }) => found.life !== undefined).length;
  const tests = results.filter(({ found }) => found.test !== undefined).length;
  const counted = `${results.length - living.length} of ${results.length} planted faults found`;
  const rest = living.length === 0 ? '' : `; not found: ${living.join(', ')}`;
  return `${counted}, ${lives} by the simulation, ${tests} by unit tests${rest}`;
}

const notFound = '–';

export function renderTable(results: readonly Result[]): string {
  const rows = results.map(({ name, fault, found: { life = notFound, test = notFound } }) => [name, fault, life, test]);
  return [
    '| fault | what goes wrong | simulation | unit test |',
    '|---|---|---|---|',
    ...rows.map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`),
  ].join('\n');
}

/** Parses the rows of a table that `renderTable` wrote. */
export function parseTable(text: string): Result[] {
  const [, ...rows] = text.split('\n').filter((line) => /^\| [a-z0-9-]+ \| /.test(line));
  return rows.map((row) => {
    const cells = row.slice(2, -2).split(' | ');
    const [name = '', fault = '', life = notFound, test = notFound] = cells.map((cell) => cell.replaceAll('\\|', '|'));
    return { name, fault, found: { ...(life !== notFound && { life }), ...(test !== notFound && { test }) } };
  });
}

/**
 * Replaces older rows by these rows. The text above the table stays, and so do the rows of the
 * other `names`.
 */
export async function keepResults(path: string, results: readonly Result[], names: readonly string[]): Promise<void> {
  const text = await readFile(path, 'utf8');
  const [head = ''] = text.split('\n## ');
  const fresh = new Map(results.map((result) => [result.name, result]));
  const rows = new Map([...parseTable(text).map((row) => [row.name, row] as const), ...fresh]);
  const all = names.flatMap((name) => rows.get(name) ?? []);
  const body = ['## Which test finds each fault', '', `${renderConclusion(all)}.`, '', renderTable(all), ''].join('\n');
  await writeFile(path, `${head.trimEnd()}\n\n${body}`);
}
