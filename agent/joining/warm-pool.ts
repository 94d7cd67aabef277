/** The warm pool in which a node may wait before it joins, as the metadata service tells it. */

import type { Config } from '../../config/config.ts';
import type { Host } from '../../core/host.ts';
import { callOnce } from '../calls.ts';
import { completeLaunchHook, freshMs, type LaunchProgress } from './launch-hook.ts';
import { readTarget, targetMs } from './target-state.ts';

/** The pool lets a node go within a minute; the metadata service is asked without a call to AWS. */
const everyMs = 5_000;

/**
 * Metadata may be late: a node that the group has fetched from the pool already is not through
 * before it is in service.
 */
const notEntering = /^(?!Warmed:Pending)/;

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
    isEntered ||= (await completeLaunchHook(host, config, signal, freshMs, progress)) !== 'later';
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
