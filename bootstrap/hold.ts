/**
 * A node that failed waits and says so: during a storm instead of dying, and for a person who has
 * to mend something.
 */

import type { Config } from '../config/config.ts';
import { messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { jitter, withTimeout } from '../core/retry.ts';
import { readBootstrapState, writeState } from './bootstrap.ts';
import type { Storm } from './storm-guard.ts';

/** A metric is worth this wait and no more. */
const publishMs = 15_000;

/**
 * Records and announces the hold, then sleeps until it is over. Try the bootstrap again afterwards.
 */
export async function hold(
  host: Host,
  config: Config,
  storm: Extract<Storm, { kind: 'hold' }>,
  signal: AbortSignal,
): Promise<void> {
  const heldUntil = host.clock.now() + storm.waitMs;
  const state = await readBootstrapState(host);
  if (state !== undefined) await writeState(host, { ...state, outcome: 'held', heldUntil });
  host.log.warn('held by the storm guard', { reason: storm.reason, waitMs: storm.waitMs });
  await host.machine.say(`ecs-node: waiting ${Math.round(storm.waitMs / 1000)} s instead of dying: ${storm.reason}`);
  await publishHold(host, config, storm, signal);
  await host.clock.sleep(Math.max(0, heldUntil - host.clock.now()), signal);
}

/**
 * A person who mends something looks at the node soon afterwards; nobody minds one call a quarter
 * of an hour.
 */
const firstPauseMs = 60_000;
const longestPauseMs = 900_000;

/**
 * Records and announces that a person has to act, then sleeps. Longer with each round, counted from
 * 0. Try again afterwards.
 */
export async function waitForPerson(host: Host, reason: string, round: number, signal: AbortSignal): Promise<void> {
  const pauseMs = jitter(Math.min(firstPauseMs * 2 ** round, longestPauseMs));
  const state = await readBootstrapState(host);
  if (state !== undefined) await writeState(host, { ...state, retryAt: host.clock.now() + pauseMs });
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
  // Once for this node, once for the group: the sum over the group is what an alarm looks at.
  const dimensions = [
    { InstanceId: instanceId },
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
