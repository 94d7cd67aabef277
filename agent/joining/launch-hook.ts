/** The launch hook, for which Auto Scaling waits while it launches this node. */

import type { Config } from '../../config/config.ts';
import { defaultLaunchHook } from '../../core/hook-names.ts';
import { Refused, isDenied, messageOf } from '../../core/errors.ts';
import type { Host, Membership } from '../../core/host.ts';
import { propagationMs, jitter } from '../../core/retry.ts';
import { readGroupTag } from '../../upkeep/group-tag.ts';
import { callOnce } from '../calls.ts';
import type { KnownFacts } from '../known-facts.ts';
import { completeHook } from './complete-hook.ts';
import { countUnfinishedHook } from './count-unfinished-hook.ts';
import { readTarget } from './target-state.ts';

/** "No active Lifecycle Action" may be said for seconds after the hook has begun. */
const everyMs = 5_000;

/**
 * All calls to Auto Scaling share one limit: a group that is launched at once must not keep itself
 * from being heard.
 */
const maxPauseMs = 30_000;

/**
 * What was seen of ECS is good for a while only: with fewer tries in that time most of them would
 * cost another look at ECS.
 */
const leastTries = 8;

/** A refusal lasts until a person has mended it. */
const refusedPauseMs = 30_000;

/** In service, or in a pool, whatever the hook says. */
const through =
  /^(InService|Pending:Proceed|Terminat|Detach|Standby|EnteringStandby|Warmed:(Stopped|Running|Hibernated))/;

/** For this long, what ECS or the group said is good enough to tell Auto Scaling. */
export const freshMs = 45_000;

/**
 * What is known of Auto Scaling between two tries: it need not say again what it has said only
 * because it was too busy for the next call.
 */
export interface LaunchProgress {
  membership?: Membership | undefined;
  /** Longer and longer while it does not answer. */
  pauseMs?: number;
  /** Where the node is through, whatever the hook says; default: in service, or in a pool. */
  throughPattern?: RegExp;
  /** The hook waits, unless Auto Scaling says otherwise: it need not be asked before it is told. */
  hookWaits?: boolean;
  knownFacts?: KnownFacts;
  /**
   * Uptime since which the group has said nothing but that the node, which is in service, is in a
   * pool.
   */
  warmSince?: number | undefined;
  /** Told what keeps the hook from being completed. */
  report?: (detail: string) => void;
  /** What was logged last, and when the metric was published last. */
  told?: string;
  countedAt?: number;
}

/** `over`: the hook is completed, or there is none. `later`: not yet, or not allowed. */
export type LaunchOutcome = 'over' | 'later' | UnfinishedHook;

/** The node goes on, but its group may still wait for a hook: said, and looked at again and again. */
export interface UnfinishedHook {
  unfinished: string;
}

type Try = 'over' | 'later' | UnfinishedHook | { blocked: string };

/**
 * CONTINUE. No hook of ours, no group, or already in service: `over`. `later`: not within that
 * time; default: waits for as long as it takes. What AWS refuses is tried again, at a slow pace.
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

/** One round of questions. Throws what may heal. */
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
      host.cloud.readMembership(callSignal),
    ));
    if (progress.knownFacts !== undefined) progress.knownFacts.group = membership?.group;
    if (membership === undefined || isThrough(membership, progress, host.clock.uptime())) return 'over';
    if (host.clock.uptime() >= end) return 'later';
    const outcome = await completeWaitingHook(host, membership, hook, signal);
    progress.membership = undefined;
    return outcome;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Refused)) throw error;
    const isWaiting = progress.membership?.lifecycleState.endsWith('Pending:Wait') === true;
    progress.membership = undefined;
    // A group without our hooks must not be harmed by a role that may not ask for them.
    return isWaiting || hook !== defaultLaunchHook ? { blocked: error.message } : { unfinished: error.message };
  }
}

/**
 * A node that was fetched from its pool a moment ago may still be called warmed, and would let its
 * hook time out: believed when it lasts.
 */
function isThrough({ lifecycleState }: Membership, progress: LaunchProgress, now: number): boolean {
  if (progress.throughPattern !== undefined) return progress.throughPattern.test(lifecycleState);
  const isWarmed = lifecycleState.startsWith('Warmed:');
  progress.warmSince = isWarmed ? (progress.warmSince ?? now) : undefined;
  return through.test(lifecycleState) && now - (progress.warmSince ?? -Infinity) >= propagationMs;
}

/**
 * For a node that is wanted in service, in a group whose name is known. Where anything is not as it
 * should be, the group is asked first.
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
    // The group then says whether it waits at all.
    if (isDenied(error)) host.log.warn('launch hook not completed yet', { error: messageOf(error) });
    progress.hookWaits = false;
  }
  if (progress.hookWaits) host.log.info('launch hook completed', { hook });
  return progress.hookWaits;
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

/** What it means that the group waits, and has no action for the hook that this node completes. */
function judgeHooks(names: readonly string[], hook: string): Try {
  if (names.includes(hook)) return 'later';
  // The first instances of a group may be launched before their hook exists.
  if (names.length === 0) return 'over';
  const why = `the group has no launch hook ${hook}, and waits for ${names.join(', ')}: see autoScaling.launchHook`;
  // Hooks of other programs are none of ours, unless the configuration says that one of them is.
  return hook === defaultLaunchHook ? { unfinished: why } : { blocked: why };
}
