/** Waits until Auto Scaling waits for this node's hook, and completes it. */

import { Refused } from '../../core/errors.ts';
import type { Membership } from '../../core/host.ts';
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

/** Auto Scaling shows each change within seconds, so an answer that lasts is not an old one. */
const lastingMs = 60_000;

/** The outcome where Auto Scaling and the metadata service agree that nothing ends the node. */
const kept = 'the group keeps the node';

/** A target that never changes must not keep the node for ever. Shorter than `patienceMs`. */
const contradictedMs = 840_000;

/**
 * False: the node has requested its end, and its group keeps it. The group's answers before may
 * have been wrong.
 */
export async function completeTerminateHook(departure: Departure, signal: AbortSignal): Promise<boolean> {
  const { host, state } = departure;
  await reportDeparture(departure, signal);
  const withinMs = Math.max(departure.leftMs(), patienceMs);
  const lasts = openLasting(host.clock, lastingMs);
  const isBelieved = openBelief(departure);
  const step = (callSignal: AbortSignal) => completeIfAsked(departure, lasts, isBelieved, callSignal);
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

/** The group's answer that the hook is over, or undefined for any other answer. */
type Belief = (over: Membership | undefined, signal: AbortSignal) => Promise<boolean>;

/**
 * An answer that the hook is over must last: long after the metadata service has named another
 * target. The target Terminated says nothing, because it is the same before the hook.
 */
function openBelief(departure: Departure): Belief {
  const { clock } = departure.host;
  const lasts = openLasting(clock, lastingMs);
  const outlasts = openLasting(clock, contradictedMs);
  let isContradicted = false;
  return async (over, signal) => {
    const [hasLasted, hasOutlasted] = [lasts(over !== undefined), outlasts(over !== undefined)];
    isContradicted ||= isTerminating(over) && (await isTargetTerminated(departure, signal)) === false;
    return isContradicted ? hasOutlasted : hasLasted;
  };
}

/** The outcome, or undefined while the hook is not over. */
async function completeIfAsked(
  departure: Departure,
  lasts: ReturnType<typeof openLasting>,
  isBelieved: Belief,
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
  const hasBegun = isLeaving && !/(Terminating|Pending)$/.test(lifecycleState);
  const isWaiting = lifecycleState.endsWith(':Wait');
  const { launchHook, terminateHook } = config.autoScaling;
  // On the way back into the warm pool, the state does not tell which of both hooks waits.
  const hooks = [terminateHook, ...(lifecycleState === 'Warmed:Pending:Wait' ? [launchHook] : [])];
  const own = hooks.filter((hook) => hook !== undefined);
  const isSaidOver = hasBegun && (!isWaiting || own.length === 0);
  const isOver = await isBelieved(isSaidOver ? membership : undefined, signal);
  if (!hasBegun) return undefined;
  // The hook of another program waits, and the group's own termination does not need this node.
  const isOthers = isWaiting && state.ending !== 'terminate';
  if (own.length === 0) return isOver || isOthers ? 'no hook of ours' : undefined;
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
  return isOver ? lifecycleState : undefined;
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
