/** What is asked of OpsWorks for a record that may have moved on meanwhile: a refusal counts only when it lasts. */

import { Refused, isDenied } from '../../core/errors.ts';
import type { Host, Registration } from '../../core/host.ts';
import { settleMs } from '../../core/patience.ts';

/** What OpsWorks shows may be older than what it knows: what costs the node its life is looked at for so long, three polls. */
export const sureMs = 3 * settleMs;

/**
 * Returns false where it is refused because the record has moved on, which is seen by the next look: a call that was given up
 * may have taken effect just before it was repeated. Throws what is refused again and again.
 */
export function openDeed({ clock }: Host): (record: Registration, call: () => Promise<void>) => Promise<boolean> {
  let refused: { status: string; since: number } | undefined;
  return async ({ status }, call) => {
    try {
      await call();
      return true;
    } catch (error) {
      // A missing permission has nothing to do with the record.
      if (!(error instanceof Refused) || isDenied(error)) throw error;
      const now = clock.uptime();
      if (refused?.status !== status) refused = { status, since: now };
      if (now - refused.since >= sureMs) throw error;
      return false;
    }
  };
}
