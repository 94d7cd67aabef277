/**
 * Parses and renders the file of pulled documents. It is one file, written whole, so that no crash
 * leaves half a set. Pure.
 */

import { createHash } from 'node:crypto';

export interface PulledDocument {
  name: string;
  version: string;
  text: string;
}

export interface Refreshed {
  /** The value of `refresh.source` when these documents were pulled. */
  source: string;
  /** The last set that was valid together with the node's own files. It is in use. */
  good: readonly PulledDocument[];
  /** The present set at the source, when it is not valid. Keeping it spares fetching it again. */
  refused?: { source: string; documents: readonly PulledDocument[]; why: string };
  /** Names of documents in `good` that the source has just not listed. */
  lost?: readonly string[];
  /** When it began to list no more than that. The wall clock may be set forward at a boot. */
  lostSince?: { bootId: string; uptime: number };
}

/** Undefined for another text than ours: everything is then pulled again. */
export function parseRefreshed(text: string | undefined): Refreshed | undefined {
  try {
    const value = JSON.parse(text ?? 'null') as (Partial<Refreshed> & { isEmptied?: unknown }) | null;
    if (typeof value?.source !== 'string' || !areDocuments(value.good)) return undefined;
    const { source, good, refused, lostSince } = value;
    // Up to version 0.1.0, the file says only that the source has listed none of them.
    const lost = value.isEmptied === true ? good.map(({ name }) => name) : value.lost;
    const isWhole =
      areDocuments(refused?.documents) && typeof refused?.why === 'string' && typeof refused.source === 'string';
    return {
      source,
      good,
      ...(isWhole && refused !== undefined && { refused }),
      ...(Array.isArray(lost) && lost.every((name) => typeof name === 'string') && { lost }),
      ...(typeof lostSince?.bootId === 'string' && typeof lostSince.uptime === 'number' && { lostSince }),
    };
  } catch {
    return undefined;
  }
}

/** A name of the set in use. A running agent compares it to see that a newer set is there. */
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
