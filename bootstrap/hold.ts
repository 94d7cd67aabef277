/**
 * Lets a node whose bootstrap failed wait and report it: during a storm of failures instead of
 * terminating, or until a person fixes the cause.
 */

import type { Config } from '../config/config.ts';
import { messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { jitter, withTimeout } from '../core/retry.ts';
import { recordWait } from './bootstrap.ts';
import type { Storm } from './storm-guard.ts';

/** A metric is optional, so the node waits no longer for it. */
const publishMs = 15_000;

/**
 * Records and announces the hold, then sleeps until it is over. The caller then retries the
 * bootstrap.
 */
export async function hold(
  host: Host,
  config: Config,
  storm: Extract<Storm, { kind: 'hold' }>,
  signal: AbortSignal,
): Promise<void> {
  const heldUntil = host.clock.now() + storm.waitMs;
  // The wall clock may be set back while the metric is published.
  const endsAt = host.clock.uptime() + storm.waitMs;
  await recordWait(host, { outcome: 'held', heldUntil });
  host.log.warn('held by the storm guard', { reason: storm.reason, waitMs: storm.waitMs });
  await host.machine.say(`ecs-node: waiting ${Math.round(storm.waitMs / 1000)} s instead of dying: ${storm.reason}`);
  const { reason, failures } = storm;
  host.events.tell({ type: 'held', reason, failures, until: new Date(heldUntil).toISOString() });
  await publishHold(host, config, storm, signal);
  await host.clock.sleep(Math.max(0, endsAt - host.clock.uptime()), signal);
}

/**
 * A person who fixed the cause looks at the node soon afterwards. One call in 15 minutes costs
 * little.
 */
const firstPauseMs = 60_000;
const longestPauseMs = 900_000;

/**
 * Records and announces that a person has to act, then sleeps, longer with each `round` (from 0).
 * The caller then retries.
 */
export async function waitForPerson(host: Host, reason: string, round: number, signal: AbortSignal): Promise<void> {
  const pauseMs = jitter(Math.min(firstPauseMs * 2 ** round, longestPauseMs));
  await recordWait(host, { retryAt: host.clock.now() + pauseMs });
  host.log.error('waits for a person', { error: reason, pauseMs: Math.round(pauseMs) });
  await host.machine.say(`ecs-node: a person has to act: ${reason}; tries again in ${Math.round(pauseMs / 1000)} s`);
  await host.clock.sleep(pauseMs, signal);
}

async function publishHold(
  host: Host,
  config: Config,
  storm: Extract<Storm, { kind: 'hold' }>,
  signal: AbortSignal,
): Promise<void> {
  if (!config.metrics.enabled) return;
  const { instanceId } = host.identity;
  const metric = { name: 'BootstrapHeld', value: 1, unit: 'Count' as const, at: host.clock.now() };
  // Published for this node and for its group: alarms use the sum over the group.
  const dimensions: Record<string, string>[] = [
    ...(config.metrics.perInstance ? [{ InstanceId: instanceId }] : []),
    ...(storm.group === undefined ? [] : [{ AutoScalingGroupName: storm.group }]),
  ];
  const metrics = dimensions.map((each) => ({ ...metric, dimensions: each }));
  try {
    const publish = (callSignal: AbortSignal) => host.cloud.publish(config.metrics.namespace, metrics, callSignal);
    await withTimeout(publishMs, publish, host.clock, signal);
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('metric not published', { error: messageOf(error) });
  }
}
