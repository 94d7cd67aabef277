/**
 * The JSON protocols, and CBOR, which only CloudWatch accepts: typed values in, typed values out.
 */

import { decode, encode, Token, Type } from 'cborg';
import type { ReadScalar } from './shapes.ts';

export const readTypedScalar: ReadScalar = (kind, value) => {
  switch (kind) {
    case 'text':
      return typeof value === 'string' ? value : undefined;
    case 'whole':
      return typeof value === 'number' && Number.isInteger(value) ? value : undefined;
    case 'number':
      return readNumber(value);
    case 'flag':
      return typeof value === 'boolean' ? value : undefined;
    default:
      return readTime(value);
  }
};

/** JSON has no NaN, so the SDK sends it as text. */
function readNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (value === 'NaN' || value === 'Infinity' || value === '-Infinity') return Number(value);
  return undefined;
}

/** Accepts seconds since 1970, or a CBOR date. */
function readTime(value: unknown): number | undefined {
  if (typeof value === 'number' && Number.isFinite(value)) return value * 1000;
  if (value instanceof Date) return value.getTime();
  return undefined;
}

/** Renders times as seconds. */
export function renderJson(value: unknown): string {
  return JSON.stringify(toSeconds(value));
}

function toSeconds(value: unknown): unknown {
  if (value instanceof Date) return value.getTime() / 1000;
  if (Array.isArray(value)) return value.map(toSeconds);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, toSeconds(each)]));
}

export function parseCbor(body: Uint8Array): unknown {
  const tags = { 1: (decodeInner: () => unknown) => new Date(Number(decodeInner()) * 1000) };
  return decode(body, { tags, allowNaN: true, allowInfinity: true, useMaps: false });
}

export function renderCbor(value: unknown): Uint8Array {
  return encode(withoutGaps(value), { typeEncoders: { Date: encodeDate } });
}

/** Renders seconds since 1970 as a CBOR date. */
function encodeDate(date: Date): Token[] {
  return [new Token(Type.tag, 1), new Token(Type.float, date.getTime() / 1000)];
}

/** Removes undefined values, because CBOR would encode them. */
function withoutGaps(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutGaps);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  const there = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(there.map(([key, each]) => [key, withoutGaps(each)]));
}
