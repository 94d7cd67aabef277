/**
 * What Auto Scaling waits for while it launches this node: the launch hook, and the warm pool
 * before it.
 */

import type { Config } from '../../config/config.ts';
import { Refused, isDenied, messageOf } from '../../core/errors.ts';
import type { Host, Membership } from '../../core/host.ts';
import { propagationMs, jitter } from '../../core/retry.ts';
import { readGroupTag } from '../../upkeep/group-tag.ts';
import { callOnce } from '../calls.ts';
import { completeHook } from './complete-hook.ts';
import { findHook } from './heartbeats.ts';
import type { KnownFacts } from '../known-facts.ts';

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

/** In service, or in a pool, whatever the hook says. */
const through =
  /^(InService|Pending:Proceed|Terminat|Detach|Standby|EnteringStandby|Warmed:(Stopped|Running|Hibernated))/;

/**
 * Metadata may be late: a node that the group has fetched from the pool already is not through
 * before it is in service.
 */
const notEntering = /^(?!Warmed:Pending)/;

/** Metadata answers in milliseconds, or not at all. */
const targetMs = 5_000;

/** So long what was seen of ECS, or of the group, is good enough to tell Auto Scaling. */
export const freshMs = 45_000;

export type ReportJoin = (state: 'joining' | 'in warm pool', detail: string) => void;

/** Metadata tells the pool without a call. Not knowing the target counts as being in none. */
export async function waitUntilOutOfPool(
  host: Host,
  config: Config,
  report: ReportJoin,
  signal: AbortSignal,
): Promise<void> {
  const progress: LaunchProgress = { throughPattern: notEntering };
  for (let isEntered = false; ;) {
    const target = await readTarget(host, signal);
    if (target?.startsWith('Warmed:') !== true) return;
    report('in warm pool', target);
    // The launch hook holds the node on its way into the pool too. While Auto Scaling does not
    // answer the node may be fetched.
    isEntered ||= await completeLaunchHook(host, config, signal, freshMs, progress);
    await host.clock.sleep(everyMs, signal);
  }
}

/**
 * Asked while a node is not in service: the time that it spends in a pool, or may spend there, is
 * none that it needs to join.
 */
export async function readPoolState(host: Host, signal: AbortSignal): Promise<'in' | 'out' | 'unknown'> {
  try {
    const target = await callOnce(host, signal, (callSignal) => host.metadata.readTargetState(callSignal), targetMs);
    return target?.startsWith('Warmed:') === true ? 'in' : 'out';
  } catch {
    signal.throwIfAborted();
    return 'unknown';
  }
}

async function readTarget(host: Host, signal: AbortSignal): Promise<string | undefined> {
  try {
    return await callOnce(host, signal, (callSignal) => host.metadata.readTargetState(callSignal), targetMs);
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('target state not read', { error: messageOf(error) });
    return undefined;
  }
}

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
}

/**
 * CONTINUE. No hook of ours, no group, or already in service: success. False: not answered within
 * that time; default: waits for as long as it takes.
 */
export async function completeLaunchHook(
  host: Host,
  config: Config,
  signal: AbortSignal,
  withinMs: number = Infinity,
  progress: LaunchProgress = {},
): Promise<boolean> {
  const hook = config.autoScaling.launchHook;
  if (hook === undefined) return true;
  for (const end = host.clock.uptime() + withinMs; host.clock.uptime() < end;) {
    try {
      if (progress.hookWaits === true && (await completeWithoutLookup(host, hook, progress, signal))) return true;
      const membership = (progress.membership ??= await callOnce(host, signal, (callSignal) =>
        host.cloud.readMembership(callSignal),
      ));
      if (progress.knownFacts !== undefined) progress.knownFacts.group = membership?.group;
      if (membership === undefined || isThrough(membership, progress, host.clock.uptime())) return true;
      if (host.clock.uptime() < end) {
        if (await completeWaitingHook(host, membership, hook, signal)) return true;
        progress.membership = undefined;
      }
      progress.pauseMs = everyMs;
    } catch (error) {
      signal.throwIfAborted();
      // The node is well; a person must mend the permission before the hook times out.
      if (error instanceof Refused) {
        host.log.error('launch hook not completed', { error: error.message });
        return true;
      }
      host.log.warn('launch hook not completed yet', { error: messageOf(error) });
      const longestMs = Math.max(everyMs, Math.min(maxPauseMs, withinMs / leastTries));
      progress.pauseMs = Math.min((progress.pauseMs ?? everyMs) * 2, longestMs);
    }
    await host.clock.sleep(jitter(progress.pauseMs ?? everyMs), signal);
  }
  return false;
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
 * For a node that is wanted in service, in a group whose name is known. Whatever is not as it
 * should be, the group is asked about first.
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
    if (!(error instanceof Refused) || isDenied(error)) throw error;
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
): Promise<boolean> {
  if (!lifecycleState.endsWith('Pending:Wait')) return false;
  if (await completeHook(host, group, hook)) {
    host.log.info('launch hook completed', { hook });
    return true;
  }
  // The first instances of a group may be launched before their hook exists.
  return (await findHook(host, group, hook, signal)) === undefined;
}
