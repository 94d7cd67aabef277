/**
 * Calls OpsWorks about a record that may have changed meanwhile. A refusal counts only when it
 * lasts.
 */

import type { Config } from '../../../config/config.ts';
import type { Essential } from '../../../core/essentials.ts';
import { isLethal } from '../../../core/essentials.ts';
import { Refused, Unfit, isDenied, messageOf } from '../../../core/errors.ts';
import type { Host, Registration } from '../../../core/host.ts';
import { openLasting, singleErrorMs } from '../../../core/lasting.ts';
import { propagationMs } from '../../../core/retry.ts';

/**
 * OpsWorks may show a state that is older than the one it acts on. An answer that only makes the
 * node repeat or skip something must last this long, three polls.
 */
export const refusalLastsMs = 3 * propagationMs;

/** OpsWorks may be wrong for a minute, and no second source knows the node's record. */
const longestErrorMs = singleErrorMs;

/**
 * An answer that terminates the node must last this long. A short bootstrap gives it half of its
 * time, as `waitUntil` does.
 */
export function lethalLastsMs({ bootstrap }: Config): number {
  return Math.max(refusalLastsMs, Math.min(longestErrorMs, bootstrap.timeoutSeconds * 500));
}

/** The calls about a record, by their names in `Cloud`. */
export type AssignmentVerb = 'assign' | 'unassign';

const essential: Essential = 'opsworks-layer';

/**
 * Returns false where OpsWorks refuses because the record has changed: a call that was given up may
 * have taken effect just before its retry. The next look shows it. Throws a refusal that lasts. A
 * lethal one must last for `lethalMs`, and is thrown as `Unfit`.
 */
export function openUnlessMoved(
  { clock }: Host,
  lethalMs: number,
): (verb: AssignmentVerb, record: Registration, call: () => Promise<void>) => Promise<boolean> {
  const lasts = openLasting(clock, refusalLastsMs);
  const isFinal = openLasting(clock, lethalMs);
  return async (verb, { status }, call) => {
    try {
      await call();
      return true;
    } catch (error) {
      // A missing permission does not depend on the record's state.
      if (!(error instanceof Refused) || isDenied(error)) throw error;
      const kills = isLethal(verb, error.code);
      // Both need each answer: a refusal of the other kind begins their time anew.
      if (![lasts(!kills && status), isFinal(kills && status)].includes(true)) return false;
      throw kills ? new Unfit(essential, messageOf(error), { cause: error }) : error;
    }
  };
}
