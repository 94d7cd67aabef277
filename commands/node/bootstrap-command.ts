/** Runs the bootstrap, and decides what its failure means for the node. */

import { isTerminating } from '../../agent/departure/hook.ts';
import { hasReached, isOver } from '../../agent/departure/order.ts';
import { withLaunchHookHeartbeats } from '../../agent/joining/launch-hook-heartbeats.ts';
import { runDeparture, readDeparture } from '../../agent/departure/leave.ts';
import { bootstrap } from '../../bootstrap/bootstrap.ts';
import { judgeFailure } from '../../bootstrap/failure-outcome.ts';
import { hold, waitForPerson } from '../../bootstrap/hold.ts';
import { deregister } from '../../bootstrap/registrars/registrars.ts';
import { readStorm } from '../../bootstrap/storm-guard.ts';
import type { Config } from '../../config/config.ts';
import { Refused, messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { withTimeout } from '../../core/retry.ts';
import type { DepartureState } from '../../core/state/state.ts';

/**
 * Without a registrar, a bootstrap is over by then and needs no heartbeat. The shortest launch hook
 * lasts 30 s, and the machine's boot has used a part of it.
 */
const quietMs = 10_000;

/**
 * Resolves when the ECS agent may start. Waits and retries for as long as a person must fix
 * something in AWS. Otherwise throws the bootstrap's failure, and its exit code tells systemd
 * whether to retry. After a permanent failure the node leaves first, unless the storm guard makes
 * it wait and retry.
 */
export async function runBootstrap(host: Host, config: Config, signal: AbortSignal): Promise<void> {
  const begun = await readDeparture(host);
  if (begun !== undefined && (await isAboutToBeTerminated(host, begun, signal))) {
    host.log.warn('not bootstrapped: the group ends the node', { cause: begun.cause, reason: begun.reason });
    if (begun.cause === 'bootstrap-failed') throw new Refused(begun.reason);
    return;
  }
  if (begun !== undefined && !isOver(begun)) {
    // The departure was interrupted. A node whose bootstrap failed permanently cannot come back.
    if (begun.cause === 'bootstrap-failed') {
      const resume = () => departForGood(host, config, begun.reason, signal);
      await withLaunchHookHeartbeats(host, config, quietMs, signal, resume);
      throw new Refused(begun.reason);
    }
    if (begun.ending !== 'remain' && begun.returns !== true && hasReached(begun, 'registrar')) {
      host.log.warn('not bootstrapped: the node is leaving', { cause: begun.cause, reason: begun.reason });
      return;
    }
  }
  await withLaunchHookHeartbeats(host, config, quietMs, signal, () => bootstrapUntilDone(host, config, signal));
}

/** One call. A silent Auto Scaling API must not delay the bootstrap. */
const membershipMs = 30_000;

/**
 * True when the departure is done and the group is about to end the node; another hook may still
 * delay that. A new registration would remain as an orphan.
 */
async function isAboutToBeTerminated(host: Host, left: DepartureState, signal: AbortSignal): Promise<boolean> {
  if (left.phase !== 'done' || left.undoneAt !== undefined || left.ending === 'remain' || left.returns) return false;
  const read = (callSignal: AbortSignal) => host.cloud.readMembership(callSignal);
  const membership = await withTimeout(membershipMs, read, host.clock, signal).catch(() => undefined);
  signal.throwIfAborted();
  return membership !== undefined && isTerminating(membership);
}

async function bootstrapUntilDone(host: Host, config: Config, signal: AbortSignal): Promise<void> {
  for (let refusals = 0; ;) {
    try {
      await bootstrap(host, config, signal);
      return;
    } catch (error) {
      // A shutdown is no failure.
      signal.throwIfAborted();
      const ending = judgeFailure(error, config);
      host.log.error('bootstrap failed', { error: messageOf(error), ending });
      if (ending === 'retry-slowly') await waitForPerson(host, messageOf(error), refusals++, signal);
      else if (ending === 'for-good') await leaveOrWait(host, config, error, signal);
      else throw error;
    }
  }
}

/**
 * Returns after a wait that the storm guard asked for. Otherwise the node leaves, and this throws
 * the reason.
 */
async function leaveOrWait(host: Host, config: Config, error: unknown, signal: AbortSignal): Promise<void> {
  const storm = await readStorm(host, config, signal);
  if (storm.kind === 'hold') return hold(host, config, storm, signal);
  await departForGood(host, config, messageOf(error), signal);
  throw error;
}

async function departForGood(host: Host, config: Config, reason: string, signal: AbortSignal): Promise<void> {
  await runDeparture(host, config, { cause: 'bootstrap-failed', reason, ending: 'terminate' }, { deregister }, signal);
}
