import { Unavailable } from '../../core/errors.ts';

/**
 * A list that the service always sends, even when it is empty. Without this check, a `200 {}` from
 * a middlebox would mean "ECS does not know this node", "OpsWorks has no record of it" and "no task
 * runs here".
 */
export function parseList<T>(call: string, field: string, value: readonly T[] | undefined): readonly T[] {
  if (Array.isArray(value)) return value as readonly T[];
  throw new Unavailable(`${call}: the answer has no list ${field}`);
}
