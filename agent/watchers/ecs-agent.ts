/**
 * Checks that the ECS agent is alive and connected. The node restarts it, and leaves when that did
 * not help.
 */

import type { Config } from '../../config/config.ts';
import { Unavailable } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { longestGapMs, openLasting, singleErrorMs } from '../../core/lasting.ts';
import { callOnce } from '../calls.ts';
import { readOutage } from '../leave-queue/dead-records.ts';
import { removeFromQueue } from '../leave-queue/leave-queue.ts';
import { mayLeaveWithoutRecord } from '../leave-queue/without-record.ts';
import { findContainerInstance, readLocalAgent } from '../container-instance.ts';
import { findOtherCluster } from '../joining/first-boot.ts';
import { openBackoff } from '../watching/backoff.ts';
import { openQueuePosition } from '../leave-queue/queue-position.ts';
import type { Finding, Watcher } from '../watching/watcher.ts';
import type { KnownFacts } from '../known-facts.ts';

/**
 * The interval at which ECS is asked although the local agent answers: agents have looked healthy
 * while disconnected.
 */
const crossCheckMs = 600_000;

/** One short list of the disconnected nodes must not hide an outage from a node. */
const noOutageLastsMs = singleErrorMs;

interface Answer {
  at: number;
  connected: boolean;
  arn: string | undefined;
}

export function watchEcsAgent(config: Config, knownFacts: KnownFacts = {}): Watcher {
  const { cluster } = config;
  const { action, pollSeconds, patienceSeconds, restarts } = config.ecsAgent;
  const everyMs = pollSeconds * 1000;
  // The last answer of ECS. It only saves calls; the judge decides what follows from it.
  let asked: Answer | undefined;
  const crossCheck = openBackoff();
  const queuePosition = openQueuePosition('ecs-agent', config.disk.maxLeavingPercent, knownFacts);
  const isNoOutage = openOutageGuard(config);

  const ailing = (reason: string): Finding => ({
    kind: 'ailing',
    reason,
    patienceMs: patienceSeconds * 1000,
    checks: 3,
    treatments: action === 'log' ? 0 : restarts,
    thenLeave: action === 'replace',
  });

  return {
    name: 'ecs-agent',
    everyMs,
    deadlineMs: 45_000,
    // In a warm pool, the ECS agent is silent on purpose.
    afterJoin: true,

    async check(host, signal) {
      if (knownFacts.registersAnew === true) throw new Unavailable('the node registers anew');
      const local = await readLocalAgent(host, signal);
      const arn = local?.containerInstanceArn;
      const now = host.clock.uptime();
      asked = newer(asked, knownFacts);
      const recent = asked !== undefined && asked.connected && now - asked.at < crossCheckMs;
      if (arn !== undefined && recent) return { kind: 'well' };
      // ECS gives the second opinion: the introspection port may be closed on a working node.
      const read = (callSignal: AbortSignal) =>
        host.cloud.readContainerInstance(local?.cluster ?? cluster, arn ?? asked?.arn, callSignal);
      const ask = () => callOnce(host, signal, read);
      // While the agent is silent or was disconnected, each check asks ECS.
      const isAiling = arn === undefined || asked?.connected === false;
      const known = await (isAiling ? ask() : crossCheck(host.clock, ask));
      asked = { at: now, connected: known?.agentConnected === true, arn: known?.arn };
      knownFacts.shownEntries = new Set(known?.queuedFor);
      if (known === undefined) return ailing('ECS does not know this node');
      if (known.agentConnected) return { kind: 'well' };
      return ailing(arn === undefined ? 'the ECS agent is gone' : 'the ECS agent is disconnected');
    },

    async treat(host, _attempt, signal) {
      // A restart harms no task and also helps in an outage of the whole cluster, so it needs no
      // queue.
      await host.machine.restartUnit('ecs.service', signal);
      return 'done';
    },

    async mayLeave(host, signal) {
      if (!(await isNoOutage(host, signal))) return 'wait';
      const containerInstance = await findContainerInstance(host, config, 20_000, signal);
      if (containerInstance === undefined)
        return (await mayLeaveWithoutRecord(host, { cluster, knownFacts, everyMs }, signal)) ? 'go' : 'wait';
      return (await queuePosition.mayLeave(host, containerInstance, signal)) ? 'go' : 'wait';
    },

    hasMissed: queuePosition.isShown,

    async recover(host, signal) {
      const containerInstance = await findContainerInstance(host, config, 20_000, signal);
      const isQueued = await queuePosition.isQueued(host, containerInstance, signal);
      if (containerInstance === undefined || !isQueued) return;
      await removeFromQueue(host, containerInstance, 'ecs-agent', signal);
    },
  };
}

/** The newer of the last answer and the one that joining received. */
function newer(asked: Answer | undefined, { lastSeen }: KnownFacts): Answer | undefined {
  if (lastSeen === undefined || (asked !== undefined && lastSeen.at <= asked.at)) return asked;
  return { at: lastSeen.at, connected: lastSeen.instance.agentConnected, arn: lastSeen.instance.arn };
}

/**
 * The returned function is true once ECS has shown for some time that the cluster has no outage.
 * Throws when much of the cluster is disconnected, or the node has joined another one, so that
 * nothing is done: the fault is not this node's.
 */
function openOutageGuard(config: Config): (host: Host, signal: AbortSignal) => Promise<boolean> {
  const { cluster } = config;
  const gapMs = Math.max(longestGapMs, 4 * config.ecsAgent.pollSeconds * 1000);
  let lasts: ReturnType<typeof openLasting> | undefined;
  return async (host, signal) => {
    const other = await findOtherCluster(host, cluster, signal);
    if (other !== undefined) throw new Unavailable(`the node has joined ${other}, so ${cluster} may not know it`);
    lasts ??= openLasting(host.clock, noOutageLastsMs, gapMs);
    const outage = await readOutage(host, config, signal);
    const isOver = lasts(outage === undefined);
    if (outage !== undefined) throw new Unavailable(outage);
    return isOver;
  };
}
