/** Checks the values of flags, from a command line or from the environment of a function. */

import { closestMatch } from '../core/closest-match.ts';
import type { Flag, FlagValue } from './command.ts';

/** The fault of a value, as one sentence about the flag. Undefined for a good value. */
export function faultOfValue(flag: Flag, value: string): string | undefined {
  if (value === '' && flag.setting === undefined) return `--${flag.name} needs a value that is not empty`;
  if (flag.whole !== undefined && !isWithin(flag.whole, value)) {
    const { min, max } = flag.whole;
    return `--${flag.name} must be a whole number from ${min} to ${max}; found ${JSON.stringify(value)}`;
  }
  if (flag.form?.pattern.test(value) === false) {
    return `--${flag.name} must be ${flag.form.words}; found ${JSON.stringify(value)}`;
  }
  if (flag.choices !== undefined && !flag.choices.includes(value)) {
    const closest = closestMatch(value, flag.choices);
    const hint = closest === undefined ? '' : `; did you mean ${closest}?`;
    return `--${flag.name} must be one of ${flag.choices.join(', ')}; found ${JSON.stringify(value)}${hint}`;
  }
  return undefined;
}

/** Digits only: Number would accept "1e3", "0x10" and a blank. */
function isWithin({ min, max }: NonNullable<Flag['whole']>, value: string): boolean {
  return /^\d{1,15}$/.test(value) && Number(value) >= min && Number(value) <= max;
}

/** The required flags that are absent. */
export function missingFlags(known: readonly Flag[], given: Readonly<Record<string, FlagValue>>): Flag[] {
  return known.filter(({ name, required }) => required === true && given[name] === undefined);
}
