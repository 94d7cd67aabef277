/** Small words for what a value must be: for files and answers that others may have written. Far smaller than zod, for the agent's sake. */

export type Is = (value: unknown) => boolean;

export const text: Is = (value) => typeof value === 'string';
export const flag: Is = (value) => typeof value === 'boolean';
export const number: Is = (value) => typeof value === 'number' && Number.isFinite(value);
/** Milliseconds that a Date can hold. */
export const time: Is = (value) => typeof value === 'number' && Math.abs(value) <= 8.64e15;
export const oneOf =
  (...allowed: readonly unknown[]): Is =>
  (value) =>
    allowed.includes(value);
export const maybe =
  (is: Is): Is =>
  (value) =>
    value === undefined || is(value);
export const listOf =
  (is: Is): Is =>
  (value) =>
    Array.isArray(value) && value.every(is);

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export const recordOf =
  (is: Is): Is =>
  (value) =>
    isObject(value) && Object.values(value).every(is);

/** Fields that are not named may be anything: a newer version may have written them. */
export const shaped =
  (fields: Readonly<Record<string, Is>>): Is =>
  (value) =>
    isObject(value) &&
    Object.entries(fields).every(([key, is]) => is(Object.hasOwn(value, key) ? value[key] : undefined));
