// Writes the measured figures into bench/results: one file for each part of the benchmark, with one
// section for each table. A run replaces only the sections that it measured.
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { arch, cpus, release, totalmem } from 'node:os';
import type { Tables } from './part.ts';

const RESULTS = new URL('results/', import.meta.url);

/** `binary` is the measured file; absent for a part that runs the program's source. */
export async function writeFigures(part: string, tables: Tables, binary: string | undefined): Promise<void> {
  const file = new URL(`${part}.md`, RESULTS);
  const sections = parseSections(await readFile(file, 'utf8').catch(() => ''));
  const measured = `${await renderProvenance(part, binary)}\n\n`;
  for (const [name, rows] of Object.entries(tables)) sections.set(renderTitle(name), measured + renderMarkdown(rows));
  const texts = [...sections].map(([title, text]) => `## ${title}\n\n${text}\n`);
  await writeFile(file, `<!-- Made by npm run bench. -->\n\n# ${renderTitle(part)}\n\n${texts.join('\n')}`);
}

/** Maps the title of each section to its text. */
export function parseSections(text: string): Map<string, string> {
  const sections = text.split(/^## /m).slice(1);
  return new Map(
    sections.map((section) => {
      const end = section.indexOf('\n');
      return [section.slice(0, end), section.slice(end).trim()];
    }),
  );
}

/** `stack-size` becomes `Stack size`. */
function renderTitle(name: string): string {
  const words = name.replaceAll('-', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

async function renderProvenance(part: string, binary: string | undefined): Promise<string> {
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  const machine = `${cpus().length} × ${cpus()[0]!.model} (${arch()}), ${gibibytes} GiB, Linux ${release().split('-')[0]}`;
  const day = new Date().toISOString().slice(0, 10);
  const sum = binary === undefined ? '' : `\nSHA-256 of the binary: \`${await digest(binary)}\`.`;
  return `\`npm run bench -- ${part}\` on ${day}, ${machine}.${sum}`;
}

async function digest(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}

function renderMarkdown([head, ...rows]: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head!.map((_, column) => (column === 0 ? '---' : '--:'));
  return [head!, rule, ...rows].map(line).join('\n');
}
