/** Waits until Auto Scaling waits for this node's hook, and completes it. */

import { Refused } from '../../core/errors.ts';
import { openLasting } from '../../core/lasting.ts';
import { poll } from '../../core/poll.ts';
import { isRetryable } from '../../core/retry.ts';
import { readMembership } from '../../upkeep/group-tag.ts';
import { callOnce } from '../calls.ts';
import { completeHook } from '../joining/complete-hook.ts';
import { isLeavingGroup, isTerminating } from '../lifecycle-states.ts';
import { findGroupName } from './confirm.ts';
import type { Departure } from './departure.ts';
import { reportDeparture } from './report-departure.ts';
import { isTargetTerminated } from './terminate.ts';

/**
 * Users report that "No active Lifecycle Action" may be the answer for seconds after the hook has
 * begun.
 */
const everyMs = 5_000;

/**
 * Auto Scaling begins within seconds, but a group that is busy with another activity may need
 * minutes. A refusal is retried for as long: a policy that was edited by mistake is soon mended.
 */
const patienceMs = 900_000;

/** A group that has taken the node's request shows it within seconds. */
const keptMs = 60_000;

/** The outcome where Auto Scaling and the metadata service agree that nothing ends the node. */
const kept = 'the group keeps the node';

/** A target that never changes must not keep the node for ever. Ends before `patienceMs`. */
const contradictedMs = 840_000;

/**
 * False: the node has requested its end, and its group keeps it. The group's answers before may
 * have been wrong.
 */
export async function completeTerminateHook(departure: Departure, signal: AbortSignal): Promise<boolean> {
  const { host, state } = departure;
  await reportDeparture(departure, signal);
  const withinMs = Math.max(departure.leftMs(), patienceMs);
  const lasts = openLasting(host.clock, keptMs);
  const targetAgrees = openTargetAgreement(departure);
  const step = (callSignal: AbortSignal) => completeIfAsked(departure, lasts, targetAgrees, callSignal);
  try {
    const how = await poll('the end of the hook', step, {
      clock: host.clock,
      signal,
      withinMs,
      everyMs,
      retryIf: (error) => isRetryable(error) || error instanceof Refused,
      onRetry: async (error) => {
        if (error instanceof Refused) await departure.trouble('the hook', error);
      },
    });
    if (how === kept) return false;
    host.log.info('group left', { how, cause: state.cause });
    return true;
  } catch (error) {
    // A stop comes, and only this call is left. Without it, the group waits until the hook times
    // out.
    if (signal.aborted) await step(new AbortController().signal).catch(() => undefined);
    throw error;
  }
}

type TargetAgreement = (signal: AbortSignal) => Promise<boolean>;

/**
 * True if the metadata service agrees that the group terminates the node. After it has named
 * another target, its silence is no agreement.
 */
function openTargetAgreement(departure: Departure): TargetAgreement {
  const { clock } = departure.host;
  const disputedUntil = clock.uptime() + contradictedMs;
  let isContradicted = false;
  return async (signal) => {
    const agrees = await isTargetTerminated(departure, signal);
    isContradicted ||= agrees === false;
    return (agrees ?? !isContradicted) || clock.uptime() >= disputedUntil;
  };
}

/** The outcome, or undefined while the hook is not over. */
async function completeIfAsked(
  departure: Departure,
  lasts: ReturnType<typeof openLasting>,
  targetAgrees: TargetAgreement,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { host, config, state } = departure;
  const read = (callSignal: AbortSignal) => readMembership(host, callSignal);
  const membership = await callOnce(host, signal, read).catch(asRefusal);
  if (membership instanceof Refused) return completeDenied(departure, membership, signal);
  if (membership === undefined) return 'in no group';
  const { group, lifecycleState } = membership;
  const isLeaving = isLeavingGroup(membership, state);
  const mayBeKept = !isLeaving && state.ending === 'terminate';
  if (lasts(mayBeKept && (await isTargetTerminated(departure, signal)) === false)) return kept;
  if (state.cause === 'spot' && !isLeaving) return 'the group does not wait for it';
  if (!isLeaving) return undefined;
  // The group has not begun to wait.
  if (/(Terminating|Pending)$/.test(lifecycleState)) return undefined;
  const isWaiting = lifecycleState.endsWith(':Wait');
  // Back in its warm pool.
  if (!isWaiting && !isTerminating(membership)) return lifecycleState;
  const { launchHook, terminateHook } = config.autoScaling;
  // On the way back into the warm pool, the state does not tell which of both hooks waits.
  const hooks = [terminateHook, ...(lifecycleState === 'Warmed:Pending:Wait' ? [launchHook] : [])];
  const own = hooks.filter((hook) => hook !== undefined);
  if (own.length === 0) return 'no hook of ours';
  await departure.noteDeed('askedToEndAt');
  let refusal: Refused | undefined;
  for (const hook of own) {
    // One hook that is refused, or that the group lacks, must not hide the other.
    const isDone = await completeHook(host, group, hook).catch((error: unknown) => {
      refusal = asRefusal(error);
      return false;
    });
    if (isDone) return `${hook} completed`;
  }
  if (isWaiting && refusal !== undefined) throw refusal;
  // One answer that the wait is over may be wrong. The group would then wait until the hook times
  // out.
  return !isWaiting && (await targetAgrees(signal)) ? lifecycleState : undefined;
}

/**
 * Completes the hook without reading the state, which this role may not read. The hook was seen to
 * be active.
 */
async function completeDenied(
  departure: Departure,
  refusal: Refused,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { host, config, state } = departure;
  const hook = config.autoScaling.terminateHook;
  if (hook === undefined) return 'no hook of ours';
  const group = await findGroupName(host, signal);
  if (group === undefined || state.cause !== 'scale-in') throw refusal;
  await departure.noteDeed('askedToEndAt');
  return (await completeHook(host, group, hook)) ? `${hook} completed` : undefined;
}

function asRefusal(error: unknown): Refused {
  if (!(error instanceof Refused)) throw error;
  return error;
}
