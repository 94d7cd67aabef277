/** Completes the launch hook, for which Auto Scaling waits while it launches this node. */

import type { Config } from '../../config/config.ts';
import { defaultLaunchHook } from '../../core/hook-names.ts';
import { Refused, isDenied, messageOf, unlessRefused } from '../../core/errors.ts';
import type { Host, Membership } from '../../core/host.ts';
import { openLasting } from '../../core/lasting.ts';
import { propagationMs, jitter, type Clock } from '../../core/retry.ts';
import { readGroupTag, readMembership } from '../../upkeep/group-tag.ts';
import { callOnce } from '../calls.ts';
import type { KnownFacts } from '../known-facts.ts';
import { completeHook } from './complete-hook.ts';
import { countUnfinishedHook } from './count-unfinished-hook.ts';
import { sendHeartbeat } from './heartbeats.ts';
import { readTarget } from './target-state.ts';

/** Auto Scaling may answer "No active Lifecycle Action" for seconds after the hook has begun. */
const everyMs = 5_000;

/**
 * All nodes share one limit for calls to Auto Scaling. A group that is launched together must not
 * block itself.
 */
const maxPauseMs = 30_000;

/**
 * The least number of tries within the caller's time. After that time, the caller asks ECS again
 * whether the node is in service, so longer pauses would cost a call to ECS for nearly each try.
 */
const leastTries = 8;

/** A refusal lasts until a person has fixed its cause. */
const refusedPauseMs = 30_000;

/** States in which the node is past its launch hook: in service, leaving, or in a pool. */
const through =
  /^(InService|Pending:Proceed|Terminat|Detach|Standby|EnteringStandby|Warmed:(Stopped|Running|Hibernated))/;

/** The states among them in which the node does not leave. */
const isInService = /^(InService|Pending:Proceed)$/;

/** An answer of ECS or of the group is fresh enough for this long to act on it at Auto Scaling. */
export const freshMs = 45_000;

/**
 * Auto Scaling's answers, kept between two tries. If it throttled the next call, it need not repeat
 * them.
 */
export interface LaunchProgress {
  membership?: Membership | undefined;
  /** Grows while Auto Scaling does not answer. */
  pauseMs?: number;
  /** States in which the node is past its hook; default: in service, leaving, or in a pool. */
  throughPattern?: RegExp;
  /**
   * The hook is assumed to wait, so the node completes it without a question first, unless Auto
   * Scaling said otherwise.
   */
  hookWaits?: boolean;
  knownFacts?: KnownFacts;
  /** Whether the group keeps reporting the node as warmed, although it is in service. */
  warmLasts?: (isWarmed: boolean) => boolean;
  /** Whether the state past the hook lasts, for a role that may send no heartbeat. */
  pastLasts?: (isPast: boolean) => boolean;
  /**
   * Asked before each try, and before it completes. False: `later`, because another hook of that
   * name may wait by now.
   */
  mayTry?: () => Promise<boolean>;
  /** Receives the reason why the hook is not completed. */
  report?: (detail: string) => void;
  /** The last logged reason, and the time of the last metric. */
  told?: string;
  countedAt?: number;
}

/**
 * `over`: this node has completed the hook, or need not. `none`: only Auto Scaling says, in one
 * moment, that none waits. `later`: not yet completed.
 */
export type LaunchOutcome = 'over' | 'none' | 'later' | UnfinishedHook;

/**
 * The node continues, but its group may still wait for a hook. The status shows it, and the agent
 * tries again.
 */
export interface UnfinishedHook {
  unfinished: string;
}

type Try = 'over' | 'none' | 'later' | UnfinishedHook | { blocked: string };

/**
 * Completes the hook with CONTINUE. `none` where Auto Scaling shows no such hook, or the node
 * already in service or in no group. `later` after `withinMs`; by default it waits without limit.
 * After a refusal it tries again every 30 s; while AWS is silent, its pauses grow to 30 s.
 */
export async function completeLaunchHook(
  host: Host,
  config: Config,
  signal: AbortSignal,
  withinMs: number = Infinity,
  progress: LaunchProgress = {},
): Promise<LaunchOutcome> {
  const hook = config.autoScaling.launchHook;
  if (hook === undefined) return 'over';
  for (const end = host.clock.uptime() + withinMs; host.clock.uptime() < end;) {
    if ((await progress.mayTry?.()) === false) return 'later';
    try {
      const outcome = await tryOnce(host, hook, progress, end, signal);
      progress.pauseMs = everyMs;
      if (typeof outcome === 'object' && 'blocked' in outcome) {
        progress.pauseMs = refusedPauseMs;
        await reportBlocked(host, config, hook, outcome.blocked, progress, signal);
      } else if (outcome !== 'later') return outcome;
    } catch (error) {
      signal.throwIfAborted();
      host.log.warn('launch hook not completed yet', { error: messageOf(error) });
      const longestMs = Math.max(everyMs, Math.min(maxPauseMs, withinMs / leastTries));
      progress.pauseMs = Math.min((progress.pauseMs ?? everyMs) * 2, longestMs);
    }
    await host.clock.sleep(jitter(progress.pauseMs ?? everyMs), signal);
  }
  return 'later';
}

async function reportBlocked(
  host: Host,
  config: Config,
  hook: string,
  why: string,
  progress: LaunchProgress,
  signal: AbortSignal,
): Promise<void> {
  const detail = `launch hook ${hook} not completed: ${why}`;
  progress.report?.(detail);
  if (progress.told !== detail) host.log.error('launch hook not completed', { hook, error: why });
  progress.told = detail;
  await countUnfinishedHook(host, config, progress, signal);
}

/** One round of calls. Throws failures that may pass. */
async function tryOnce(
  host: Host,
  hook: string,
  progress: LaunchProgress,
  end: number,
  signal: AbortSignal,
): Promise<Try> {
  try {
    if (progress.hookWaits === true && (await completeWithoutLookup(host, hook, progress, signal))) return 'over';
    const membership = (progress.membership ??= await callOnce(host, signal, (callSignal) =>
      readMembership(host, callSignal),
    ));
    if (progress.knownFacts !== undefined) progress.knownFacts.group = membership?.group;
    if (membership === undefined) return 'none';
    const isPast = isThrough(membership, progress, host.clock);
    if (host.clock.uptime() >= end) return 'later';
    if (isPast) return await askWhetherHookWaits(host, membership, hook, progress, signal);
    // Meanwhile, the node may have left its pool.
    if ((await progress.mayTry?.()) === false) return 'later';
    const outcome = await completeWaitingHook(host, membership, hook, signal);
    progress.membership = undefined;
    return outcome;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Refused)) throw error;
    if (progress.membership === undefined) {
      const outcome = await completeWithoutState(host, hook, progress, signal);
      if (outcome !== 'unknown') return outcome;
    }
    const isWaiting = progress.membership?.lifecycleState.endsWith('Pending:Wait') === true;
    progress.membership = undefined;
    // A group without our hooks must not suffer from a role that may not ask about them.
    return isWaiting || hook !== defaultLaunchHook ? { blocked: error.message } : { unfinished: error.message };
  }
}

/**
 * A node that just left its pool may still be reported as warmed. Believing that would let its hook
 * time out, so the state counts only when it lasts.
 */
function isThrough({ lifecycleState }: Membership, progress: LaunchProgress, clock: Clock): boolean {
  if (progress.throughPattern !== undefined) return progress.throughPattern.test(lifecycleState);
  const isWarmed = lifecycleState.startsWith('Warmed:');
  progress.warmLasts ??= openLasting(clock, propagationMs);
  const isBelieved = progress.warmLasts(isWarmed) || !isWarmed;
  return isBelieved && through.test(lifecycleState);
}

/**
 * One wrong state would let the hook time out and end the node, so a heartbeat asks as well. It
 * changes nothing where no hook waits. Without permission for it, the state must last.
 */
async function askWhetherHookWaits(
  host: Host,
  { group, lifecycleState }: Membership,
  hook: string,
  progress: LaunchProgress,
  signal: AbortSignal,
): Promise<Try> {
  const { knownFacts = {}, throughPattern } = progress;
  const answer = await sendHeartbeat(host, group, hook, knownFacts, signal).catch(unlessRefused);
  progress.membership = undefined;
  if (answer === undefined) {
    progress.pastLasts ??= openLasting(host.clock, propagationMs);
    return progress.pastLasts(true) ? 'none' : 'later';
  }
  // Auto Scaling gives both answers in one moment, so the caller asks again later. A node that
  // enters a pool does not: it runs no tasks yet.
  if (!answer.active) return throughPattern === undefined ? 'none' : 'over';
  host.log.warn('the launch hook waits, against the state in the group', { hook, lifecycleState });
  // On the way into a pool, the node is not in service yet. It completes only the hook that it
  // sees.
  if (throughPattern !== undefined) return 'none';
  if (!isInService.test(lifecycleState) || !(await completeHook(host, group, hook))) return 'later';
  host.log.info('launch hook completed', { hook });
  return 'over';
}

/**
 * Completes the hook without asking the group first, where the target state is InService and the
 * group's name is known. False: ask the group.
 */
async function completeWithoutLookup(
  host: Host,
  hook: string,
  progress: LaunchProgress,
  signal: AbortSignal,
): Promise<boolean> {
  const group = progress.knownFacts?.group ?? (await readGroupTag(host, signal));
  if (group === undefined || (await readTarget(host, signal)) !== 'InService') return false;
  try {
    progress.hookWaits = await completeHook(host, group, hook);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    // The next call asks the group whether it waits at all.
    if (isDenied(error)) host.log.warn('launch hook not completed yet', { error: messageOf(error) });
    progress.hookWaits = false;
  }
  if (progress.hookWaits) host.log.info('launch hook completed', { hook });
  return progress.hookWaits;
}

/**
 * For a role that may not read the state in the group. A heartbeat says whether the hook waits. A
 * role that may send none completes the hook without knowing, which changes nothing where none
 * waits. `unknown`: as far as this role can tell, none waits yet.
 */
async function completeWithoutState(
  host: Host,
  hook: string,
  progress: LaunchProgress,
  signal: AbortSignal,
): Promise<Try | 'unknown'> {
  const { knownFacts = {}, throughPattern } = progress;
  const group = knownFacts.group ?? (await readGroupTag(host, signal));
  // On the way into a pool, the node completes only the hook that it sees.
  if (group === undefined || throughPattern !== undefined) return 'unknown';
  const answer = await sendHeartbeat(host, group, hook, knownFacts, signal).catch(unlessRefused);
  if (answer?.active === false) return 'unknown';
  const otherwise = answer === undefined ? 'unknown' : 'later';
  if ((await readTarget(host, signal)) !== 'InService') return otherwise;
  try {
    if (!(await completeHook(host, group, hook))) return otherwise;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return answer === undefined ? 'unknown' : { blocked: error.message };
  }
  host.log.info('launch hook completed', { hook });
  return 'over';
}

async function completeWaitingHook(
  host: Host,
  { group, lifecycleState }: Membership,
  hook: string,
  signal: AbortSignal,
): Promise<Try> {
  if (!lifecycleState.endsWith('Pending:Wait')) return 'later';
  if (await completeHook(host, group, hook)) {
    host.log.info('launch hook completed', { hook });
    return 'over';
  }
  return judgeHooks(await readLaunchHooks(host, group, signal), hook);
}

async function readLaunchHooks(host: Host, group: string, signal: AbortSignal): Promise<string[]> {
  const hooks = await callOnce(host, signal, (callSignal) => host.cloud.readHooks(group, callSignal));
  return hooks.filter(({ transition }) => transition === 'launch').map(({ name }) => name);
}

/** Explains why a waiting group has no action for the hook that this node completes. */
function judgeHooks(names: readonly string[], hook: string): Try {
  // A group waits only for a hook, so an empty list is stale or wrong.
  if (names.length === 0 || names.includes(hook)) return 'later';
  const why = `the group has no launch hook ${hook}, and waits for ${names.join(', ')}: see autoScaling.launchHook`;
  // Hooks of other programs are not this node's task, unless the configuration names one of them.
  return hook === defaultLaunchHook ? { unfinished: why } : { blocked: why };
}
