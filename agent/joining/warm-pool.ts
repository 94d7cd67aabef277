/** The warm pool in which a node may wait before it joins, as reported by the metadata service. */

import type { Config } from '../../config/config.ts';
import type { Host } from '../../core/host.ts';
import { openGrowingPause } from '../../core/interval.ts';
import { callOnce } from '../calls.ts';
import { refusedHookPauses } from './complete-hook.ts';
import { withLaunchHookHeartbeats } from './launch-hook-heartbeats.ts';
import { completeLaunchHook, freshMs, type LaunchProgress } from './launch-hook.ts';
import { readTarget, targetMs } from './target-state.ts';
import type { KnownFacts } from '../known-facts.ts';

/** A node leaves its pool within a minute. Asking the metadata service costs no AWS call. */
const everyMs = 5_000;

/**
 * States in which no hook waits for the node to enter the pool. The metadata service may still show
 * the pool after the node has left it: the launch hook then waits until the node is in service.
 */
const notEntering = /^(?!Warmed:Pending)/;

export type ReportJoin = (state: 'joining' | 'in warm pool', detail: string) => void;

/** A group lets the node into its pool within seconds, mostly with one try. */
const quietMs = 10_000;

/**
 * The metadata service shows the pool without an AWS call. An unknown target counts as being in no
 * pool. The metadata may be wrong, so the launch hook is kept alive until Auto Scaling says that it
 * does not wait.
 */
export async function waitUntilOutOfPool(
  host: Host,
  config: Config,
  report: ReportJoin,
  knownFacts: KnownFacts,
  signal: AbortSignal,
): Promise<void> {
  const isInPool = async () => {
    const target = await readTarget(host, signal);
    if (target?.startsWith('Warmed:') !== true) return false;
    report('in warm pool', target);
    return true;
  };
  const enter = async () => {
    const progress: LaunchProgress = { throughPattern: notEntering, knownFacts, mayTry: isInPool };
    const pause = openGrowingPause(host.clock, refusedHookPauses);
    for (; await isInPool(); await host.clock.sleep(everyMs, signal)) {
      // The launch hook also waits while the node enters the pool. The tries are short, because the
      // node may leave the pool while Auto Scaling does not answer.
      if (!pause.isOver()) continue;
      const outcome = await completeLaunchHook(host, config, signal, freshMs, progress);
      if (outcome === 'over') return true;
      // Without another try, a refused or hidden hook would time out and terminate the node.
      if (outcome !== 'later') pause.begin();
    }
    return false;
  };
  const isEntered = await withLaunchHookHeartbeats(host, config, quietMs, signal, enter, knownFacts);
  while (isEntered && (await isInPool())) await host.clock.sleep(everyMs, signal);
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
