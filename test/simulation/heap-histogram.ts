/**
 * Counts a program's objects from a snapshot of its heap. It ignores V8's own data, which changes
 * while the compiler warms up.
 */

import type { Readable } from 'node:stream';

/** Bytes by kind and name of the objects. */
export type HeapHistogram = ReadonlyMap<string, number>;

/**
 * The kinds that JavaScript creates at run time. Code, feedback and object shapes come and go by
 * megabytes as functions get hot or cold, and say nothing about a leak.
 */
const kinds = new Set([
  'object',
  'closure',
  'array',
  'string',
  'concatenated string',
  'sliced string',
  'number',
  'native',
]);

/** All strings count as one entry, and so do all numbers. */
const nameless = new Set(['string', 'concatenated string', 'sliced string', 'number']);

/** A heap snapshot: rows of numbers in one list; `meta` names the numbers of a row. */
interface Snapshot {
  snapshot: { meta: { node_fields: string[]; node_types: [string[], ...unknown[]]; edge_fields: string[] } };
  nodes: number[];
  edges: number[];
  strings: string[];
}

export async function readHeapHistogram(heap: Readable): Promise<HeapHistogram> {
  const snapshot = await readSnapshot(heap);
  const { nodes, strings } = snapshot;
  const { node_fields: fields, node_types: types } = snapshot.snapshot.meta;
  const [type, name, size] = [fields.indexOf('type'), fields.indexOf('name'), fields.indexOf('self_size')] as const;
  const tables = ownTables(snapshot);
  const census = new Map<string, number>();
  for (let at = 0; at < nodes.length; at += fields.length) {
    const kind = types[0][nodes[at + type]!]!;
    const what = kind === 'array' ? tables.get(at) : strings[nodes[at + name]!]!;
    if (!kinds.has(kind) || what === undefined) continue;
    const key = nameless.has(kind) ? kind : `${kind} ${what.slice(0, 60)}`;
    census.set(key, (census.get(key) ?? 0) + nodes[at + size]!);
  }
  return census;
}

/**
 * Weak collections keep nothing alive, and their tables grow and shrink with the garbage between
 * two collections.
 */
const weak = new Set(['WeakMap', 'WeakSet', 'FinalizationRegistry']);

/**
 * Finds the tables of lists, maps and sets, and their owners. It excludes tables of the engine
 * itself, such as its cache of numbers as text.
 */
function ownTables({ snapshot: { meta }, nodes, edges, strings }: Snapshot): Map<number, string> {
  const { node_fields: fields, node_types: types, edge_fields: edgeFields } = meta;
  const [type, name, count] = [fields.indexOf('type'), fields.indexOf('name'), fields.indexOf('edge_count')] as const;
  const to = edgeFields.indexOf('to_node');
  const kindAt = (at: number) => types[0][nodes[at + type]!];
  const tables = new Map<number, string>();
  for (let at = 0, edge = 0; at < nodes.length; at += fields.length) {
    const end = edge + nodes[at + count]! * edgeFields.length;
    const owner = strings[nodes[at + name]!]!;
    const owns = kindAt(at) === 'object' && !weak.has(owner);
    for (; edge < end; edge += edgeFields.length) {
      const table = edges[edge + to]!;
      if (owns && kindAt(table) === 'array') tables.set(table, `of ${owner}`);
    }
  }
  return tables;
}

async function readSnapshot(heap: Readable): Promise<Snapshot> {
  const parts: Buffer[] = [];
  for await (const part of heap) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString()) as Snapshot;
}

export function bytesOf(census: HeapHistogram): number {
  return [...census.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** Names the entries that grew most, to help find a leak. */
export function whatGrew(before: HeapHistogram, after: HeapHistogram, most: number): string[] {
  return [...after]
    .map(([what, bytes]) => [what, bytes - (before.get(what) ?? 0)] as const)
    .filter(([, bytes]) => bytes > 0)
    .toSorted((a, b) => b[1] - a[1])
    .slice(0, most)
    .map(([what, bytes]) => `${what}: ${bytes} bytes more`);
}
