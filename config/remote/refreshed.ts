/**
 * What was pulled from elsewhere, as it lies on the disk: one file, written whole, so that no crash
 * leaves half a set. Pure.
 */

import { createHash } from 'node:crypto';

export interface PulledDocument {
  name: string;
  version: string;
  text: string;
}

export interface Refreshed {
  /** As it was configured when this was pulled. */
  source: string;
  /** The last set that was valid together with the node's own files. */
  good: readonly PulledDocument[];
  /** What lies there now, when it is not valid: kept, so that it need not be fetched again. */
  refused?: { source: string; documents: readonly PulledDocument[]; why: string };
}

/** Undefined for what is not ours: everything is pulled anew then. */
export function parseRefreshed(text: string | undefined): Refreshed | undefined {
  try {
    const value = JSON.parse(text ?? 'null') as Partial<Refreshed> | null;
    if (typeof value?.source !== 'string' || !areDocuments(value.good)) return undefined;
    const { source, good, refused } = value;
    const isWhole =
      areDocuments(refused?.documents) && typeof refused?.why === 'string' && typeof refused.source === 'string';
    return { source, good, ...(isWhole && refused !== undefined && { refused }) };
  } catch {
    return undefined;
  }
}

/** Names what is in use, so that whoever runs with it can tell that it is not that any more. */
export function revisionOf(refreshed: Refreshed | undefined): string {
  const texts = refreshed?.good.map(({ name, text }) => [name, text]) ?? [];
  return texts.length === 0 ? 'none' : createHash('sha256').update(JSON.stringify(texts)).digest('hex').slice(0, 12);
}

export function renderRefreshed(refreshed: Refreshed): string {
  return `${JSON.stringify(refreshed, undefined, 2)}\n`;
}

function areDocuments(value: unknown): value is readonly PulledDocument[] {
  return (
    Array.isArray(value) &&
    value.every((each: unknown) => {
      const { name, version, text } = (each ?? {}) as Partial<Record<keyof PulledDocument, unknown>>;
      return typeof name === 'string' && typeof version === 'string' && typeof text === 'string';
    })
  );
}
