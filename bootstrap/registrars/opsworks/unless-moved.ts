/**
 * Calls OpsWorks about a record that may have changed meanwhile. A refusal counts only when it
 * lasts.
 */

import type { Essential } from '../../../core/essentials.ts';
import { isLethal } from '../../../core/essentials.ts';
import { Refused, Unfit, isDenied, messageOf } from '../../../core/errors.ts';
import type { Host, Registration } from '../../../core/host.ts';
import { openLasting } from '../../../core/lasting.ts';
import { propagationMs } from '../../../core/retry.ts';

/**
 * OpsWorks may show a state that is older than the one it acts on. A refusal must last this long,
 * three polls, before it may terminate the node.
 */
export const refusalLastsMs = 3 * propagationMs;

/** The calls about a record, by their names in `Cloud`. */
export type AssignmentVerb = 'assign' | 'unassign';

const essential: Essential = 'opsworks-layer';

/**
 * Returns false where OpsWorks refuses because the record has changed: a call that was given up may
 * have taken effect just before its retry. The next look shows it. Throws a refusal that lasts, as
 * `Unfit` where it is lethal.
 */
export function openUnlessMoved({
  clock,
}: Host): (verb: AssignmentVerb, record: Registration, call: () => Promise<void>) => Promise<boolean> {
  const lasts = openLasting(clock, refusalLastsMs);
  return async (verb, { status }, call) => {
    try {
      await call();
      return true;
    } catch (error) {
      // A missing permission does not depend on the record's state.
      if (!(error instanceof Refused) || isDenied(error)) throw error;
      if (!lasts(status)) return false;
      throw isLethal(verb, error.code) ? new Unfit(essential, messageOf(error), { cause: error }) : error;
    }
  };
}
