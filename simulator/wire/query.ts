/**
 * The two query protocols: flat form parameters in, XML out. Auto Scaling's dialect has `member`;
 * EC2's does not.
 */

import type { ReadScalar } from './shapes.ts';

type Tree = { [key: string]: Tree | string };

/** Parses `A.member.1.B=c` to `{ A: [{ B: 'c' }] }`; a key with a number at its end is a list. */
export function parseForm(body: string): Record<string, unknown> {
  const root: Tree = Object.create(null) as Tree;
  for (const [key, value] of new URLSearchParams(body)) plant(root, key.split('.'), value);
  return fold(root) as Record<string, unknown>;
}

function plant(root: Tree, path: string[], value: string): void {
  let node = root;
  for (const step of path.slice(0, -1)) {
    const next = node[step];
    node = typeof next === 'object' ? next : (node[step] = Object.create(null) as Tree);
  }
  node[path.at(-1)!] = value;
}

function fold(node: Tree | string): unknown {
  if (typeof node === 'string') return node;
  const keys = Object.keys(node);
  if (keys.length === 1 && keys[0] === 'member' && typeof node['member'] === 'object') return fold(node['member']);
  if (keys.length > 0 && keys.every((key) => /^\d+$/.test(key))) {
    return keys.toSorted((a, b) => Number(a) - Number(b)).map((key) => fold(node[key]!));
  }
  return Object.fromEntries(keys.map((key) => [key, fold(node[key]!)]));
}

/** In this protocol every value is a text. */
export const readFormScalar: ReadScalar = (kind, value) => {
  if (typeof value !== 'string') return undefined;
  switch (kind) {
    case 'text':
      return value;
    case 'whole':
      return /^-?\d+$/.test(value) ? Number(value) : undefined;
    case 'number':
      return value.trim() !== '' && !Number.isNaN(Number(value)) ? Number(value) : undefined;
    case 'flag':
      return value === 'true' ? true : value === 'false' ? false : undefined;
    default: {
      const at = Date.parse(value);
      return Number.isNaN(at) ? undefined : at;
    }
  }
};

/** Renders an array as `<key><item>…</item></key>`, and omits undefined values. */
export function renderXml(value: unknown, item: 'member' | 'item'): string {
  if (value === undefined || value === null) return '';
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return escape(String(value));
  return Object.entries(value)
    .filter(([, each]) => each !== undefined && each !== null)
    .map(([key, each]) => {
      const inner = Array.isArray(each)
        ? each.map((one) => `<${item}>${renderXml(one, item)}</${item}>`).join('')
        : renderXml(each, item);
      return `<${key}>${inner}</${key}>`;
    })
    .join('');
}

function escape(value: string): string {
  return (
    value
      .replace(/[&<>"\r]/g, (character) => `&#${character.charCodeAt(0)};`)
      // eslint-disable-next-line no-control-regex -- these may not occur in XML at all
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '\ufffd')
  );
}
