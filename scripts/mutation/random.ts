// One random mutation, as StrykerJS makes it: its key, its text, and how it is planted.

import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

export interface Position {
  /** From 1. */
  line: number;
  column: number;
}

export interface Mutation {
  /** Relative to the tree. */
  file: string;
  start: Position;
  end: Position;
  replacement: string;
}

/** As Stryker passes a mutation to a plugin. */
export interface StrykerMutant {
  fileName: string;
  replacement: string;
  location: { start: Position; end: Position };
}

/** `first`: the number of the first line and column, which Stryker counts in two ways. */
export function toMutation({ fileName, replacement, location }: StrykerMutant, first: 0 | 1): Mutation {
  const one = ({ line, column }: Position) => ({ line: line + 1 - first, column: column + 1 - first });
  const [start, end] = [one(location.start), one(location.end)];
  return { file: relative(process.cwd(), fileName), start, end, replacement };
}

/** Orders mutations at random, but in the same order for the same seed. */
export function draw<T>(all: readonly T[], seed: number, count: number, keyOf: (one: T) => string): T[] {
  const rank = (one: T) =>
    createHash('sha256')
      .update(`${seed} ${keyOf(one)}`)
      .digest('hex');
  const ranked = all.map((one) => [rank(one), one] as const);
  return ranked
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .slice(0, count)
    .map(([, one]) => one);
}

function offsetOf(text: string, { line, column }: Position): number {
  const before = text.split('\n').slice(0, line - 1);
  return before.join('\n').length + (before.length > 0 ? 1 : 0) + column - 1;
}

/** The text that the mutation replaces. */
export function originalOf(text: string, { start, end }: Mutation): string {
  return text.slice(offsetOf(text, start), offsetOf(text, end));
}

/** Plants mutations of different files in a tree; the returned function removes them. */
export async function plant(tree: string, mutations: readonly Mutation[]): Promise<() => Promise<void>> {
  const texts = await Promise.all(mutations.map(({ file }) => readFile(join(tree, file), 'utf8')));
  const write = (render: (text: string, mutation: Mutation) => string) =>
    Promise.all(
      mutations.map((mutation, at) => writeFile(join(tree, mutation.file), render(texts[at] ?? '', mutation))),
    );
  await write(
    (text, { start, end, replacement }) =>
      `${text.slice(0, offsetOf(text, start))}${replacement}${text.slice(offsetOf(text, end))}`,
  );
  return async () => void (await write((text) => text));
}

/** On one line, and short enough for a table. */
export function shorten(code: string): string {
  const line = code.replaceAll(/\s+/g, ' ').trim();
  return line.length <= 70 ? line : `${line.slice(0, 67)}…`;
}
