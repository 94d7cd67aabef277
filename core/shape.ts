/**
 * Checks values that another program may have written: files and answers. It is far smaller than
 * zod, because the agent must stay small.
 *
 * Each check carries its type invariantly. A check that accepts fewer or more values than the type
 * does not compile. A type with a field that its shape lacks does not compile either.
 */

export type Is<T> = ((value: unknown) => boolean) & {
  /** Never present: it ties the check to exactly `T`. */
  readonly checked?: (value: T) => T;
};

export const text: Is<string> = (value) => typeof value === 'string';
export const flag: Is<boolean> = (value) => typeof value === 'boolean';
export const number: Is<number> = (value) => typeof value === 'number' && Number.isFinite(value);
/** Milliseconds that a Date can hold. */
export const time: Is<number> = (value) => typeof value === 'number' && Math.abs(value) <= 8.64e15;
/** An optional marker: `true`, or absent. */
export const marked: Is<true | undefined> = (value) => value === undefined || value === true;

export function oneOf<const T extends string | number>(allowed: readonly T[]): Is<T> {
  return (value) => (allowed as readonly unknown[]).includes(value);
}

export function maybe<T>(is: Is<T>): Is<T | undefined> {
  return (value) => value === undefined || is(value);
}

export function listOf<T>(is: Is<T>): Is<T[]> & Is<readonly T[]> {
  return (value) => Array.isArray(value) && value.every(is);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function recordOf<T>(is: Is<T>): Is<Record<string, T>> & Is<Readonly<Record<string, T>>> {
  return (value) => isObject(value) && Object.values(value).every(is);
}

/** Every field of `T` with its check. An optional field takes a check that accepts `undefined`. */
export type Shape<T> = {
  readonly [K in keyof T]-?: Is<Record<never, never> extends Pick<T, K> ? T[K] | undefined : T[K]>;
};

/** Other fields may hold anything: a newer version may have written them. */
export function shaped<T extends object>(fields: Shape<T>): Is<T> {
  const checks = Object.entries<(value: unknown) => boolean>(fields as Record<string, (value: unknown) => boolean>);
  return (value) =>
    isObject(value) && checks.every(([key, is]) => is(Object.hasOwn(value, key) ? value[key] : undefined));
}
