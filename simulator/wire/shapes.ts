/**
 * Declares an operation's input once: any protocol can read it, the simulator checks it, and the
 * handler gets its type.
 */

import type { Refusal } from '../refusal.ts';

interface Limits {
  /** Limits the characters, the elements, or the value itself. */
  min?: number;
  max?: number;
  oneOf?: readonly string[];
  pattern?: RegExp;
}

type Kind =
  | { kind: 'text' | 'whole' | 'number' | 'flag' | 'time' | 'map' }
  | { kind: 'list'; of: Shape<unknown, boolean> }
  | { kind: 'record'; fields: Fields };

/** T is the type that a handler gets; R says whether the value is always present. */
export interface Shape<T, R extends boolean = false> {
  readonly what: Kind;
  readonly limits: Limits;
  readonly required: R;
  /** Never set: it only carries the type. */
  readonly type?: T;
}

export type Fields = Readonly<Record<string, Shape<unknown, boolean>>>;

export type Input<F extends Fields> = {
  [K in keyof F]: F[K] extends Shape<infer T, infer R> ? (R extends true ? T : T | undefined) : never;
};

const shape = <T>(what: Kind, limits: Limits = {}): Shape<T> => ({ what, limits, required: false });

export const text = (limits?: Limits) => shape<string>({ kind: 'text' }, limits);
export const whole = (limits?: Limits) => shape<number>({ kind: 'whole' }, limits);
export const number = (limits?: Limits) => shape<number>({ kind: 'number' }, limits);
export const flag = () => shape<boolean>({ kind: 'flag' });
export const time = () => shape<number>({ kind: 'time' });
/** A map of strings. */
export const map = () => shape<Record<string, string>>({ kind: 'map' });
export const list = <T>(of: Shape<T, boolean>, limits?: Limits) => shape<T[]>({ kind: 'list', of }, limits);
export const record = <F extends Fields>(fields: F) => shape<Input<F>>({ kind: 'record', fields });
export const oneOf = <const V extends string>(...values: V[]) => shape<V>({ kind: 'text' }, { oneOf: values });
export const need = <T>(of: Shape<T, boolean>): Shape<T, true> => ({ ...of, required: true });

/** A service's wording for an invalid input. */
export interface Complaints {
  missing(path: string): Refusal;
  invalid(path: string, value: unknown, constraint: string): Refusal;
  /** The value has the wrong type; only a typed protocol can notice this. */
  malformed(path: string, value: unknown, wanted: string): Refusal;
}

/**
 * Reads one scalar in the notation of its protocol; returns undefined if the value has another
 * type.
 */
export type ReadScalar = (kind: string, value: unknown) => unknown;

export function readInput(raw: unknown, fields: Fields, complain: Complaints, readScalar: ReadScalar): unknown {
  return readRecord(raw, fields, '', { complain, readScalar });
}

interface Reading {
  complain: Complaints;
  readScalar: ReadScalar;
}

function readRecord(raw: unknown, fields: Fields, path: string, reading: Reading): Record<string, unknown> {
  const source = (raw ?? {}) as Record<string, unknown>;
  const input: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    const where = path === '' ? name : `${path}.${name}`;
    const value = source[name];
    if (value === undefined || value === null) {
      if (field.required) throw reading.complain.missing(where);
      continue;
    }
    input[name] = readValue(value, field, where, reading);
  }
  return input;
}

function readValue(raw: unknown, { what, limits }: Shape<unknown, boolean>, path: string, reading: Reading): unknown {
  const { complain, readScalar } = reading;
  if (what.kind === 'list') {
    // The query protocol writes an empty list as `Name=`.
    const elements: unknown = raw === '' ? [] : raw;
    if (!Array.isArray(elements)) throw complain.malformed(path, raw, 'list');
    checkSize(elements.length, limits, path, raw, complain, 'length');
    return elements.map((each, index) => readValue(each, what.of, `${path}.${index + 1}`, reading));
  }
  if (what.kind === 'record' || what.kind === 'map') {
    if (typeof raw !== 'object' || Array.isArray(raw)) throw complain.malformed(path, raw, 'structure');
    return what.kind === 'record' ? readRecord(raw, what.fields, path, reading) : raw;
  }
  const value = readScalar(what.kind, raw);
  if (value === undefined) throw complain.malformed(path, raw, what.kind);
  checkScalar(value, limits, path, complain);
  return value;
}

function checkScalar(value: unknown, limits: Limits, path: string, complain: Complaints): void {
  if (typeof value === 'number') checkSize(value, limits, path, value, complain, 'value');
  if (typeof value !== 'string') return;
  checkSize(value.length, limits, path, value, complain, 'length');
  if (limits.oneOf && !limits.oneOf.includes(value)) {
    throw complain.invalid(path, value, `Member must satisfy enum value set: [${limits.oneOf.join(', ')}]`);
  }
  if (limits.pattern && !limits.pattern.test(value)) {
    throw complain.invalid(path, value, `Member must satisfy regular expression pattern: ${limits.pattern.source}`);
  }
}

function checkSize(
  size: number,
  { min, max }: Limits,
  path: string,
  value: unknown,
  complain: Complaints,
  what: string,
): void {
  if (min !== undefined && size < min) {
    throw complain.invalid(path, value, `Member must have ${what} greater than or equal to ${min}`);
  }
  if (max !== undefined && size > max) {
    throw complain.invalid(path, value, `Member must have ${what} less than or equal to ${max}`);
  }
}
