/** Watches the state that Auto Scaling wants for this instance. */

import type { Config } from '../../config/config.ts';
import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { openGrowingPause, type GrowingPause } from '../../core/interval.ts';
import { openLasting } from '../../core/lasting.ts';
import { callOnce } from '../calls.ts';
import { readLocalAgent } from '../container-instance.ts';
import type { KnownFacts } from '../known-facts.ts';
import type { Finding, Watcher } from '../watching/watcher.ts';

/**
 * A target state that returns to InService for this long was withdrawn. One odd answer does not
 * count.
 */
const takenBackAfterMs = 10_000;

/**
 * For this long after a node left its warm pool, the metadata service may still report the pool as
 * its target state: three times the delay that was seen.
 */
export const staleTargetMs = 10_000;

/** The pauses between two looks for tasks. A node may wait in its pool for days. */
const lookPauses = { firstMs: 30_000, longestMs: 3_600_000 };

/**
 * The meaning of a pool as target state. `return`: the group takes the node back. `stale`: the node
 * has just left the pool. `unknown`: the node joins for the first time, so it may enter its first
 * pool.
 */
export type PoolMeaning = 'return' | 'stale' | 'unknown';

/**
 * The target state changes before the group's own state. Placement stops at once, because that can
 * be undone. The departure confirms with Auto Scaling before any further action
 * (departure/confirm.ts).
 */
export function judgeTarget(target: string | undefined, returnsToPool: boolean): Finding {
  const key = `target:${target}`;
  if (target === 'Terminated') {
    const reason = "Auto Scaling's target state is Terminated";
    return { kind: 'doomed', key, reason, ending: 'await', revocableAfterMs: takenBackAfterMs };
  }
  if (isPool(target) && returnsToPool) {
    const reason = `Auto Scaling takes this instance back into the warm pool (${target})`;
    const returns = target !== 'Warmed:Terminated';
    return {
      kind: 'doomed',
      key,
      reason,
      ending: 'await',
      revocableAfterMs: takenBackAfterMs,
      ...(returns && { returns }),
    };
  }
  if (target === undefined || target === 'InService' || isPool(target)) return { kind: 'well' };
  // For Standby and Detached, and for any new state of AWS, the node does nothing.
  return { kind: 'notable', key, reason: `Auto Scaling's target state is ${target}` };
}

function isPool(target = ''): boolean {
  return target.startsWith('Warmed:');
}

export function watchLifecycle(config: Config, poolMeaning: () => PoolMeaning, knownFacts: KnownFacts): Watcher {
  const runsTasks = openTaskLook(config, knownFacts);
  return {
    name: 'scale-in',
    everyMs: config.autoScaling.pollSeconds * 1000,
    deadlineMs: 5_000,
    async check(host, signal) {
      const target = await host.metadata.readTargetState(signal);
      const meaning = poolMeaning();
      const runs = await runsTasks(host, isPool(target) && meaning === 'unknown', signal);
      return judgeTarget(target, meaning === 'return' || runs);
    },
  };
}

type TaskLook = (host: Host, isUnknown: boolean, signal: AbortSignal) => Promise<boolean>;

/**
 * Whether ECS says that a node runs tasks which its group sends into the pool. ECS may place tasks
 * on a node that has not joined: without a departure, the stop of the machine ends them.
 */
function openTaskLook({ cluster }: Config, knownFacts: KnownFacts): TaskLook {
  let state: { lasts: (seen: boolean) => boolean; pause: GrowingPause } | undefined;
  return async (host, isUnknown, signal) => {
    if (!isUnknown) {
      state = undefined;
      return false;
    }
    state ??= { lasts: openLasting(host.clock, staleTargetMs), pause: openGrowingPause(host.clock, lookPauses) };
    if (!state.lasts(isUnknown) || !state.pause.isOver()) return false;
    state.pause.begin();
    // A node that ECS does not know yet costs no call.
    const arn = knownFacts.lastSeen?.instance.arn ?? (await readLocalAgent(host, signal))?.containerInstanceArn;
    if (arn === undefined) return false;
    try {
      const look = (callSignal: AbortSignal) => host.cloud.readContainerInstance(cluster, arn, callSignal);
      const record = await callOnce(host, signal, look);
      return record !== undefined && record.runningTasks + record.pendingTasks > 0;
    } catch (error) {
      signal.throwIfAborted();
      host.log.warn('ECS does not say whether this node runs tasks', { error: messageOf(error) });
      return false;
    }
  };
}
