/**
 * Checks whether termination protection is on, which stops Auto Scaling from replacing the node.
 * OpsWorks turns it on late, and a person may.
 */

import type { Config } from '../../config/config.ts';
import { callOnce } from '../calls.ts';
import type { Watcher } from '../watching/watcher.ts';

/**
 * OpsWorks turns it on within minutes of registration. With other registrars only a person does.
 */
const everyMs = { opsworks: 300_000, ssm: 3_600_000, none: 3_600_000 };

export function watchTerminationProtection(config: Config): Watcher {
  return {
    name: 'termination-protection',
    everyMs: everyMs[config.registrar],
    deadlineMs: 30_000,
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
