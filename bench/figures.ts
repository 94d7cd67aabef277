// Writes the measured figures into bench/README.md: each part of the benchmark rewrites only its
// own table.
import { readFile, writeFile } from 'node:fs/promises';
import { arch, cpus, release, totalmem } from 'node:os';

const README = new URL('README.md', import.meta.url);

/**
 * Replaces the text between `<!-- figures:NAME -->` and `<!-- end -->`. The first row is the
 * table's head.
 */
export async function writeFigures(name: string, command: string, rows: string[][]): Promise<void> {
  const text = await readFile(README, 'utf8');
  const [start, end] = [`<!-- figures:${name} -->`, '<!-- end -->'];
  const from = text.indexOf(start);
  const to = text.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`bench/README.md has no section between ${start} and ${end}`);
  const section = `${start}\n\n${provenance(command)}\n\n${renderMarkdown(rows)}\n\n`;
  await writeFile(README, text.slice(0, from) + section + text.slice(to));
}

function provenance(command: string): string {
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  const machine = `${cpus().length} × ${cpus()[0]!.model} (${arch()}), ${gibibytes} GiB, Linux ${release().split('-')[0]}`;
  return `\`${command}\` on ${new Date().toISOString().slice(0, 10)}, ${machine}:`;
}

function renderMarkdown([head, ...rows]: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head!.map((_, column) => (column === 0 ? '---' : '--:'));
  return [head!, rule, ...rows].map(line).join('\n');
}
