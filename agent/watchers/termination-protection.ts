/**
 * Checks whether termination protection is on, which stops Auto Scaling from replacing the node.
 * OpsWorks turns it on late, and a person may.
 */

import type { Config } from '../../config/config.ts';
import { registrarTraits } from '../../core/state/state.ts';
import { callOnce } from '../calls.ts';
import type { Watcher } from '../watching/watcher.ts';

/**
 * OpsWorks turns it on within minutes of registration. Without such a registrar, only a person
 * does.
 */
const lateMs = 300_000;
const rareMs = 3_600_000;

export function watchTerminationProtection(config: Config): Watcher {
  return {
    name: 'termination-protection',
    everyMs: registrarTraits[config.registrar].protectsInstances ? lateMs : rareMs,
    deadlineMs: 30_000,
    // A group cannot end a held node either while the protection is on.
    evenIfHeld: true,
    async check(host, signal) {
      // EC2 does not protect spot instances.
      if (host.identity.purchase === 'spot') return { kind: 'well' };
      const protectedNow = await callOnce(host, signal, (callSignal) =>
        host.cloud.readTerminationProtection(callSignal),
      );
      if (!protectedNow) return { kind: 'well' };
      const reason = 'termination protection is on';
      const treatments = Number.MAX_SAFE_INTEGER;
      return { kind: 'ailing', reason, patienceMs: 0, checks: 1, treatments, thenLeave: false };
    },
    async treat(host, _attempt, signal) {
      await callOnce(host, signal, (callSignal) => host.cloud.clearTerminationProtection(callSignal));
      host.log.info('termination protection cleared');
      return 'done';
    },
  };
}
