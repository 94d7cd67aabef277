/** What Auto Scaling waits for while it launches this node: the launch hook, and the warm pool before it. */

import type { Config } from '../core/config.ts';
import { Refused, isDenied, messageOf } from '../core/errors.ts';
import type { Host, Membership } from '../core/host.ts';
import { settleMs, spread } from '../core/patience.ts';
import { readGroupTag } from '../upkeep/group-tag.ts';
import { askOnce } from './asking.ts';
import { completeHook } from './completion.ts';
import { findHook } from './heartbeats.ts';
import type { Sighting } from './sighting.ts';

/** "No active Lifecycle Action" may be said for seconds after the hook has begun. */
const everyMs = 5_000;

/** All calls to Auto Scaling share one limit: a group that is launched at once must not keep itself from being heard. */
const maxPauseMs = 30_000;

/** What was seen of ECS is good for a while only: with fewer tries in that time most of them would cost another look at ECS. */
const leastTries = 8;

/** In service, or in a pool, whatever the hook says. */
const over = /^(InService|Pending:Proceed|Terminat|Detach|Standby|EnteringStandby|Warmed:(Stopped|Running|Hibernated))/;

/** Metadata may be late: a node that the group has fetched from the pool already is not through before it is in service. */
const notEntering = /^(?!Warmed:Pending)/;

/** Metadata answers in milliseconds, or not at all. */
const targetMs = 5_000;

/** So long what was seen of ECS, or of the group, is good enough to tell Auto Scaling. */
export const freshMs = 45_000;

export type Tell = (state: 'joining' | 'in warm pool', detail: string) => void;

/** Metadata tells the pool without a call. Not knowing the target counts as being in none. */
export async function waitOutOfPool(host: Host, config: Config, tell: Tell, signal: AbortSignal): Promise<void> {
  const sight: Sight = { over: notEntering };
  for (let entered = false; ;) {
    const target = await readTarget(host, signal);
    if (target?.startsWith('Warmed:') !== true) return;
    tell('in warm pool', target);
    // The launch hook holds the node on its way into the pool too. While Auto Scaling does not answer the node may be fetched.
    entered ||= await completeLaunchHook(host, config, signal, freshMs, sight);
    await host.clock.sleep(everyMs, signal);
  }
}

/** Asked while a node is not in service: the time that it spends in a pool, or may spend there, is none that it needs to join. */
export async function askPool(host: Host, signal: AbortSignal): Promise<'in' | 'out' | 'unknown'> {
  try {
    const target = await askOnce(host, signal, (inner) => host.metadata.readTargetState(inner), targetMs);
    return target?.startsWith('Warmed:') === true ? 'in' : 'out';
  } catch {
    signal.throwIfAborted();
    return 'unknown';
  }
}

async function readTarget(host: Host, signal: AbortSignal): Promise<string | undefined> {
  try {
    return await askOnce(host, signal, (inner) => host.metadata.readTargetState(inner), targetMs);
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('target state not read', { error: messageOf(error) });
    return undefined;
  }
}

/** What is known of Auto Scaling between two tries: it need not say again what it has said only because it was too busy for the next call. */
export interface Sight {
  membership?: Membership | undefined;
  /** Longer and longer while it does not answer. */
  pauseMs?: number;
  /** Where the node is through, whatever the hook says; default: in service, or in a pool. */
  over?: RegExp;
  /** The hook waits, unless Auto Scaling says otherwise: it need not be asked before it is told. */
  waits?: boolean;
  sighting?: Sighting;
  /** Uptime since which the group has said nothing but that the node, which is in service, is in a pool. */
  warmedSince?: number | undefined;
}

/** CONTINUE. No hook of ours, no group, or already in service: success. False: not answered within that time; default: waits for as long as it takes. */
export async function completeLaunchHook(
  host: Host,
  config: Config,
  signal: AbortSignal,
  withinMs: number = Infinity,
  sight: Sight = {},
): Promise<boolean> {
  const hook = config.autoScaling.launchHook;
  if (hook === undefined) return true;
  for (const end = host.clock.uptime() + withinMs; host.clock.uptime() < end;) {
    try {
      if (sight.waits === true && (await completedAtOnce(host, hook, sight, signal))) return true;
      const membership = (sight.membership ??= await askOnce(host, signal, (inner) =>
        host.cloud.readMembership(inner),
      ));
      if (sight.sighting !== undefined) sight.sighting.group = membership?.group;
      if (membership === undefined || isThrough(membership, sight, host.clock.uptime())) return true;
      if (host.clock.uptime() < end) {
        if (await completed(host, membership, hook, signal)) return true;
        sight.membership = undefined;
      }
      sight.pauseMs = everyMs;
    } catch (error) {
      signal.throwIfAborted();
      // The node is well; a person must mend the permission before the hook times out.
      if (error instanceof Refused) {
        host.log.error('launch hook not completed', { error: error.message });
        return true;
      }
      host.log.warn('launch hook not completed yet', { error: messageOf(error) });
      const longestMs = Math.max(everyMs, Math.min(maxPauseMs, withinMs / leastTries));
      sight.pauseMs = Math.min((sight.pauseMs ?? everyMs) * 2, longestMs);
    }
    await host.clock.sleep(spread(sight.pauseMs ?? everyMs), signal);
  }
  return false;
}

/** A node that was fetched from its pool a moment ago may still be called warmed, and would let its hook time out: believed when it lasts. */
function isThrough({ lifecycleState }: Membership, sight: Sight, now: number): boolean {
  if (sight.over !== undefined) return sight.over.test(lifecycleState);
  const isWarmed = lifecycleState.startsWith('Warmed:');
  sight.warmedSince = isWarmed ? (sight.warmedSince ?? now) : undefined;
  return over.test(lifecycleState) && now - (sight.warmedSince ?? -Infinity) >= settleMs;
}

/** For a node that is wanted in service, in a group whose name is known. Whatever is not as it should be, the group is asked about first. */
async function completedAtOnce(host: Host, hook: string, sight: Sight, signal: AbortSignal): Promise<boolean> {
  const group = sight.sighting?.group ?? (await readGroupTag(host, signal));
  if (group === undefined || (await readTarget(host, signal)) !== 'InService') return false;
  try {
    sight.waits = await completeHook(host, group, hook, 'CONTINUE');
  } catch (error) {
    if (!(error instanceof Refused) || isDenied(error)) throw error;
    sight.waits = false;
  }
  if (sight.waits) host.log.info('launch hook completed', { hook });
  return sight.waits;
}

async function completed(
  host: Host,
  { group, lifecycleState }: Membership,
  hook: string,
  signal: AbortSignal,
): Promise<boolean> {
  if (!lifecycleState.endsWith('Pending:Wait')) return false;
  if (await completeHook(host, group, hook, 'CONTINUE')) {
    host.log.info('launch hook completed', { hook });
    return true;
  }
  // The first instances of a group may be launched before their hook exists.
  return (await findHook(host, group, hook, signal)) === undefined;
}
