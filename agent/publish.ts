/**
 * Publishes this node's use of disk, inodes, memory and swap, so that alarms see it: to CloudWatch
 * in one call, and to a file for node_exporter.
 */

import type { Config } from '../config/config.ts';
import { messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { everyInterval, exactlyAt } from '../core/interval.ts';
import { callOnce } from './calls.ts';
import { openWatchedPaths, uniqueDisks, type WatchedPaths } from './docker-root.ts';
import { readGroup, type KnownFacts } from './known-facts.ts';
import { renderTextfile } from './metrics/render-textfile.ts';
import { metricsOf, type Sample } from './metrics/sample.ts';

/** Soon enough for a dashboard to show a new node, and late enough not to slow down its boot. */
const firstWithinMs = 30_000;

/** Publishes until the signal aborts. A failure is logged and ends nothing. */
export async function publishMetrics(
  host: Host,
  config: Config,
  countFailing: () => number | undefined,
  signal: AbortSignal,
  knownFacts: KnownFacts = {},
  random: () => number = Math.random,
): Promise<void> {
  const { enabled, textfile } = config.metrics;
  if (!enabled && textfile === undefined) return;
  const watched = openWatchedPaths(config);
  const publishOnce = (group: string | undefined) =>
    publishAs(host, config, { group, failingChores: countFailing(), watched }, signal);
  let group: { name: string | undefined } | undefined;
  let failed = false;
  const everyMs = config.metrics.everySeconds * 1000;
  // Every `everyMs` on average, because CloudWatch charges for each call.
  const next = (startedAt: number) => exactlyAt(startedAt + everyMs * (0.9 + 0.2 * random()));
  const interval = { everyMs, firstWithinMs: Math.min(firstWithinMs, everyMs / 2), random, next };
  await everyInterval(host.clock, interval, signal, async () => {
    try {
      group ??= { name: await readGroup(host, knownFacts, signal) };
      await publishOnce(group.name);
      failed = false;
    } catch (error) {
      signal.throwIfAborted();
      if (!failed) host.log.warn('metrics not published', { error: messageOf(error) });
      failed = true;
      // Without the group's name, the other dimensions are still worth publishing.
      if (group === undefined) await publishOnce(undefined).catch(() => signal.throwIfAborted());
    }
  });
}

interface Known {
  group: string | undefined;
  failingChores: number | undefined;
  watched: WatchedPaths;
}

async function publishAs(host: Host, config: Config, known: Known, signal: AbortSignal): Promise<void> {
  const { group, failingChores, watched } = known;
  // An unmeasurable path has no data points; the other paths have theirs.
  const { uses } = await host.machine.measureDisks(await watched.list(host, signal));
  const disks = uniqueDisks(uses);
  const memory = await host.machine.measureMemory();
  const { instanceId } = host.identity;
  const { cluster } = config;
  const sample = { instanceId, cluster, group, disks, memory, failingChores, at: host.clock.now() };
  // A file that cannot be written says nothing about CloudWatch, and the other way round.
  const outcomes = await Promise.allSettled([
    writeTextfile(host, config, sample),
    publishSample(host, config, sample, signal),
  ]);
  const failed = outcomes.find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}

async function publishSample(host: Host, config: Config, sample: Sample, signal: AbortSignal): Promise<void> {
  const { enabled, namespace, perInstance } = config.metrics;
  if (!enabled) return;
  const metrics = metricsOf(sample, perInstance);
  await callOnce(host, signal, (callSignal) => host.cloud.publish(namespace, metrics, callSignal));
}

async function writeTextfile(host: Host, config: Config, sample: Sample): Promise<void> {
  const { textfile } = config.metrics;
  if (textfile !== undefined) await host.machine.writeShared(textfile, renderTextfile(sample));
}
