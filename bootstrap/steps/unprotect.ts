/** Clears EC2 termination protection, which OpsWorks turns on and with which the Auto Scaling group cannot end the node. */

import { until, within } from '../../core/patience.ts';
import type { Step } from '../step.ts';
import { patience, tellNicety } from '../waiting.ts';

/** OpsWorks may turn it on some time after registering; the agent looks again for as long as the node lives. */
const lookAgainMs = 5_000;

/** Outside of OpsWorks a node that cannot look starts ECS all the same: the agent looks again. */
const briefMs = 60_000;

/** Two calls, each of which may be slow. */
const callsMs = 60_000;

export const unprotect: Step = {
  name: 'unprotect',
  async run(host, config, trail, signal) {
    if (config.terminationProtection === 'keep') return 'skipped';
    let cleared = false;
    let quiet = 0;
    const look = async (inner: AbortSignal) => {
      if (await host.cloud.readTerminationProtection(inner)) {
        quiet = 0;
        await host.cloud.clearTerminationProtection(inner);
        cleared = true;
        return undefined;
      }
      quiet += 1;
      // Only OpsWorks turns it on late: until it has, one look is not enough.
      return quiet >= (config.registrar === 'opsworks' && !cleared ? 2 : 1) ? true : undefined;
    };
    // Not a refusal, even if it comes back for ever: a person who wants this node protected does not want it dead.
    const what =
      'termination protection does not stay off (see ModifyInstanceAttribute in CloudTrail, or set terminationProtection: keep)';
    const longestMs = config.registrar === 'opsworks' ? trail.leftMs() - 1_000 : Math.min(briefMs, trail.leftMs());
    const time = { ...patience(host, trail, signal), withinMs: Math.max(0, longestMs) };
    try {
      await until(what, (inner) => within(callsMs, look, host.clock, inner), { ...time, everyMs: lookAgainMs });
    } catch (error) {
      // Outside of OpsWorks it stops nothing that this node does, and its agent looks again.
      if (config.registrar === 'opsworks') throw error;
      tellNicety('termination protection not looked at', host, error, signal);
      return 'skipped';
    }
    return cleared ? 'changed' : 'unchanged';
  },
};
