/** Publishes a metric for a launch hook that the node could not complete, for an alarm. */

import type { Config } from '../../config/config.ts';
import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { callOnce } from '../calls.ts';
import { readGroup, type KnownFacts } from '../known-facts.ts';

/** The usual period of an alarm. */
const countEveryMs = 300_000;

/** A metric is optional, so the node waits no longer for it. */
const publishMs = 15_000;

/**
 * Publishes `LaunchHookNotCompleted` at most once in five minutes: for this node, for its cluster
 * and for its group, where an alarm looks.
 */
export async function countUnfinishedHook(
  host: Host,
  config: Config,
  progress: { countedAt?: number; knownFacts?: KnownFacts },
  signal: AbortSignal,
): Promise<void> {
  const now = host.clock.uptime();
  if (!config.metrics.enabled || now - (progress.countedAt ?? -Infinity) < countEveryMs) return;
  progress.countedAt = now;
  const metric = { name: 'LaunchHookNotCompleted', value: 1, unit: 'Count' as const, at: host.clock.now() };
  try {
    const group = await readGroup(host, progress.knownFacts ?? {}, signal).catch(() => undefined);
    const dimensions: Record<string, string>[] = [
      ...(config.metrics.perInstance ? [{ InstanceId: host.identity.instanceId }] : []),
      { ClusterName: config.cluster },
      ...(group === undefined ? [] : [{ AutoScalingGroupName: group }]),
    ];
    const metrics = dimensions.map((each) => ({ ...metric, dimensions: each }));
    const publish = (callSignal: AbortSignal) => host.cloud.publish(config.metrics.namespace, metrics, callSignal);
    await callOnce(host, signal, publish, publishMs);
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('metric not published', { error: messageOf(error) });
  }
}
