/**
 * Checks of values that others may have written: files and answers. Far smaller than zod, for the
 * agent's sake.
 *
 * Each check carries the type that it checks for, and carries it invariantly: a check of fewer or
 * of more values than the type allows does not compile. A field that is added to a type, and not to
 * its shape, does not compile either.
 */

export type Is<T> = ((value: unknown) => boolean) & {
  /** Never there: it ties the check to exactly `T`. */
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

/**
 * Every field of `T` with its check; an optional field takes a check that lets `undefined` pass.
 */
export type Shape<T> = {
  readonly [K in keyof T]-?: Is<Record<never, never> extends Pick<T, K> ? T[K] | undefined : T[K]>;
};

/** Fields that the shape does not name may be anything: a newer version may have written them. */
export function shaped<T extends object>(fields: Shape<T>): Is<T> {
  const checks = Object.entries<(value: unknown) => boolean>(fields as Record<string, (value: unknown) => boolean>);
  return (value) =>
    isObject(value) && checks.every(([key, is]) => is(Object.hasOwn(value, key) ? value[key] : undefined));
}
