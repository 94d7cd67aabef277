/**
 * Clears EC2 termination protection. OpsWorks turns it on, and it stops the Auto Scaling group from
 * terminating the node.
 */

import { poll } from '../../core/poll.ts';
import { withTimeout } from '../../core/retry.ts';
import { registrarTraits } from '../../core/state/state.ts';
import type { Step } from '../step.ts';
import { retryOptions, logOptionalFailure } from '../poll.ts';

/**
 * OpsWorks may turn it on some seconds after registration. Later, the agent's watcher clears it.
 */
const checkAgainMs = 5_000;

/**
 * Without a registrar that protects instances, the node starts ECS even without an answer: the
 * agent looks again.
 */
const briefMs = 60_000;

/** Two calls, and each may be slow. */
const callsMs = 60_000;

export const unprotect: Step = {
  name: 'unprotect',
  async run(host, config, context, signal) {
    if (config.terminationProtection === 'keep') return 'skipped';
    const isProtected = registrarTraits[config.registrar].protectsInstances;
    let cleared = false;
    let quiet = 0;
    const read = async (callSignal: AbortSignal) => {
      if (await host.cloud.readTerminationProtection(callSignal)) {
        quiet = 0;
        await host.cloud.clearTerminationProtection(callSignal);
        cleared = true;
        return undefined;
      }
      quiet += 1;
      // A registrar turns it on late. Until it has been cleared once, one look is not enough.
      return quiet >= (isProtected && !cleared ? 2 : 1) ? true : undefined;
    };
    // Not `Unfit`, even if it always comes back: a person who wants this node protected does not
    // want it terminated.
    const what =
      'termination protection does not stay off (see ModifyInstanceAttribute in CloudTrail, or set terminationProtection: keep)';
    const longestMs = isProtected ? context.leftMs() - 1_000 : Math.min(briefMs, context.leftMs());
    const time = { ...retryOptions(host, context, signal), withinMs: Math.max(0, longestMs) };
    try {
      await poll(what, (callSignal) => withTimeout(callsMs, read, host.clock, callSignal), {
        ...time,
        everyMs: checkAgainMs,
      });
    } catch (error) {
      // Without such a registrar, the protection stops nothing that this node does, and its agent
      // looks again.
      if (isProtected) throw error;
      logOptionalFailure('termination protection not read', host, error, signal);
      return 'skipped';
    }
    return cleared ? 'changed' : 'unchanged';
  },
};
