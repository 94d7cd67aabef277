/**
 * What a program holds, counted from a snapshot of its heap: things, not the noise of a compiler
 * that gets warm.
 */

import type { Readable } from 'node:stream';

/** Bytes by kind and name of what is held. */
export type HeapHistogram = ReadonlyMap<string, number>;

/**
 * What JavaScript makes when it runs. Code, feedback and object shapes come and go as functions get
 * hot or cold, megabytes of them, and say nothing about a leak.
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

/** All strings and numbers are counted as one. */
const nameless = new Set(['string', 'concatenated string', 'sliced string', 'number']);

/** Rows of numbers one after the other; `meta` says what each number of a row is. */
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
 * Keep nothing alive, and their tables grow and shrink with the garbage between two collections.
 */
const weak = new Set(['WeakMap', 'WeakSet', 'FinalizationRegistry']);

/**
 * What lists, maps and sets keep their entries in, and whose they are; not what the engine keeps
 * for itself, such as its cache of numbers as text.
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

/** What grew most, for whoever looks for a leak. */
export function whatGrew(before: HeapHistogram, after: HeapHistogram, most: number): string[] {
  return [...after]
    .map(([what, bytes]) => [what, bytes - (before.get(what) ?? 0)] as const)
    .filter(([, bytes]) => bytes > 0)
    .toSorted((a, b) => b[1] - a[1])
    .slice(0, most)
    .map(([what, bytes]) => `${what}: ${bytes} bytes more`);
}
