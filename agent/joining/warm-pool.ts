/** The warm pool in which a node may wait before it joins, as reported by the metadata service. */

import type { Config } from '../../config/config.ts';
import type { Host } from '../../core/host.ts';
import { openGrowingPause } from '../../core/interval.ts';
import { callOnce } from '../calls.ts';
import { refusedHookPauses } from './complete-hook.ts';
import { completeLaunchHook, freshMs, type LaunchProgress } from './launch-hook.ts';
import { readTarget, targetMs } from './target-state.ts';

/** A node leaves its pool within a minute. Asking the metadata service costs no AWS call. */
const everyMs = 5_000;

/**
 * States in which no hook waits for the node to enter the pool. The metadata service may still show
 * the pool after the node has left it: the launch hook then waits until the node is in service.
 */
const notEntering = /^(?!Warmed:Pending)/;

export type ReportJoin = (state: 'joining' | 'in warm pool', detail: string) => void;

/**
 * The metadata service shows the pool without an AWS call. An unknown target counts as being in no
 * pool.
 */
export async function waitUntilOutOfPool(
  host: Host,
  config: Config,
  report: ReportJoin,
  signal: AbortSignal,
): Promise<void> {
  const progress: LaunchProgress = { throughPattern: notEntering };
  const pause = openGrowingPause(host.clock, refusedHookPauses);
  for (let isEntered = false; ;) {
    const target = await readTarget(host, signal);
    if (target?.startsWith('Warmed:') !== true) return;
    report('in warm pool', target);
    // The launch hook also waits while the node enters the pool. The tries are short, because the
    // node may leave the pool while Auto Scaling does not answer.
    if (!isEntered && pause.isOver()) {
      const outcome = await completeLaunchHook(host, config, signal, freshMs, progress);
      isEntered = outcome === 'over';
      // Without another try, a refused or hidden hook would time out and terminate the node.
      if (typeof outcome === 'object' || outcome === 'none') pause.begin();
    }
    await host.clock.sleep(everyMs, signal);
  }
}

/**
 * Asked while a node is not in service. Time that it spends, or may spend, in a pool does not count
 * as time to join.
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
