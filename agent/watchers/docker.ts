/**
 * Checks that Docker answers. The ECS agent may stay connected while Docker is dead or hangs; ECS
 * then places tasks that cannot start. The node restarts Docker, and leaves when that did not help
 * and ECS confirms it.
 */

import type { Config } from '../../config/config.ts';
import { Unavailable } from '../../core/errors.ts';
import type { ContainerInstance, Host, LocalAgent } from '../../core/host.ts';
import { longestGapMs, openLasting } from '../../core/lasting.ts';
import { callOnce } from '../calls.ts';
import { findContainerInstance, readLocalAgent } from '../container-instance.ts';
import { readOutage } from '../leave-queue/dead-records.ts';
import { removeFromQueue } from '../leave-queue/leave-queue.ts';
import { openQueuePosition } from '../leave-queue/queue-position.ts';
import { pingDocker } from '../own-reasons.ts';
import { openBackoff } from '../watching/backoff.ts';
import type { Finding, Watcher } from '../watching/watcher.ts';
import type { KnownFacts } from '../known-facts.ts';

const unit = 'docker.service';

/** Looking up the container instance takes a call or two. */
const lookUpMs = 20_000;

/** Two looks at the usual interval: one answer of ECS may be wrong. */
const impairedLastsMs = 20_000;

/** Several times an hour, an ECS agent disconnects and connects anew. */
const disconnectedLastsMs = 60_000;

/** Long enough for an answer of ECS that the agent on the machine contradicts. */
const contradictedMs = 900_000;

export function watchDocker(config: Config, knownFacts: KnownFacts = {}): Watcher {
  const queuePosition = openQueuePosition('docker', config.disk.maxLeavingPercent, knownFacts);
  const backoff = openBackoff();
  const lookAtEcs = openEcsView(config);
  // A Docker that never answered may listen elsewhere, so this process alone cannot call it dead.
  let hasAnswered = false;

  const ping = async (host: Host, signal: AbortSignal): Promise<string | undefined> => {
    const trouble = await pingDocker(host, signal);
    hasAnswered ||= trouble === undefined;
    return trouble;
  };

  return {
    name: 'docker',
    everyMs: config.docker.pollSeconds * 1000,
    // Time for the ping and for a call to ECS.
    deadlineMs: 45_000,
    // Docker may start after this agent.
    afterJoin: true,

    async check(host, signal): Promise<Finding> {
      const trouble = await ping(host, signal);
      if (trouble === undefined) return { kind: 'well' };
      if (!hasAnswered) {
        const { instance } = await backoff(host.clock, () => readInstance(host, config, signal));
        if (!saysImpaired(instance)) throw new Unavailable(`${trouble}; it has not answered since this agent started`);
      }
      return ailing(config, trouble);
    },

    async treat(host, _attempt, signal) {
      // A restart ends the containers. The socket alone is no reason: Docker may listen elsewhere.
      const state = await callOnce(host, signal, (callSignal) => host.machine.readUnitState(unit, callSignal));
      if (!/^(failed|inactive)$/.test(state)) {
        const { isImpaired, isDisconnected, words } = await lookAtEcs(host, signal);
        if (!isImpaired && !isDisconnected)
          throw new Unavailable(`${unit} is ${state} and ${words}: it is not restarted`);
        const outage = isImpaired ? undefined : await readOutage(host, config, signal);
        if (outage !== undefined) throw new Unavailable(`${outage}: ${unit} is not restarted`);
      }
      // AWS may have taken minutes to answer.
      if ((await ping(host, signal)) === undefined) return 'wait';
      await host.machine.restartUnit(unit, signal);
      return 'done';
    },

    async mayLeave(host, signal) {
      if ((await ping(host, signal)) === undefined) return 'wait';
      // One source alone terminates no node. Without a connected ECS agent, that agent's watcher
      // decides.
      const { isImpaired, words } = await lookAtEcs(host, signal);
      if (!isImpaired) throw new Unavailable(`${words}: the node stays`);
      const ref = await findContainerInstance(host, config, lookUpMs, signal);
      if (ref === undefined) return 'wait';
      return (await queuePosition.mayLeave(host, ref, signal)) ? 'go' : 'wait';
    },

    hasMissed: queuePosition.isShown,

    async recover(host, signal) {
      const ref = await findContainerInstance(host, config, lookUpMs, signal);
      const isQueued = await queuePosition.isQueued(host, ref, signal);
      if (ref === undefined || !isQueued) return;
      await removeFromQueue(host, ref, 'docker', signal);
    },
  };
}

function ailing({ docker: { action, patienceSeconds, restarts } }: Config, trouble: string): Finding {
  return {
    kind: 'ailing',
    reason: 'Docker does not answer',
    patienceMs: patienceSeconds * 1000,
    checks: 3,
    treatments: action === 'log' ? 0 : restarts,
    thenLeave: action === 'replace',
    facts: { trouble },
  };
}

/** The health that the ECS agent reported to ECS. The agent pings Docker itself. */
function saysImpaired(instance: ContainerInstance | undefined): boolean {
  return instance?.runtimeHealth === 'IMPAIRED';
}

interface EcsView {
  /** True once ECS has said so for some time. */
  isImpaired: boolean;
  /** True once ECS has said so for some time; longer where the agent on the machine contradicts. */
  isDisconnected: boolean;
  /** The last answer, for people. */
  words: string;
}

/** A restart ends every container, so a single answer of ECS does not count. */
function openEcsView(config: Config): (host: Host, signal: AbortSignal) => Promise<EcsView> {
  const gapMs = Math.max(longestGapMs, 4 * config.docker.pollSeconds * 1000);
  const openAll = ({ clock }: Host) => ({
    impaired: openLasting(clock, impairedLastsMs, gapMs),
    disconnected: openLasting(clock, disconnectedLastsMs, gapMs),
    contradicted: openLasting(clock, contradictedMs, gapMs),
  });
  let lasts: ReturnType<typeof openAll> | undefined;
  return async (host, signal) => {
    const { instance, local } = await readInstance(host, config, signal);
    lasts ??= openAll(host);
    const isAway = instance?.agentConnected === false;
    const isContradicted = local?.containerInstanceArn !== undefined;
    const [isGone, isLongGone] = [lasts.disconnected(isAway && !isContradicted), lasts.contradicted(isAway)];
    const isImpaired = lasts.impaired(saysImpaired(instance));
    const health = instance?.runtimeHealth ?? 'of unknown health';
    const isNew = saysImpaired(instance) && !isImpaired;
    const since = isNew ? `, for less than ${impairedLastsMs / 1000} s` : '';
    const words = `ECS says that the container runtime is ${health}${since}`;
    return { isImpaired, isDisconnected: isGone || isLongGone, words };
  };
}

async function readInstance(
  host: Host,
  { cluster }: Config,
  signal: AbortSignal,
): Promise<{ instance: ContainerInstance | undefined; local: LocalAgent | undefined }> {
  const local = await readLocalAgent(host, signal);
  const instance = await callOnce(host, signal, (callSignal) =>
    host.cloud.readContainerInstance(local?.cluster ?? cluster, local?.containerInstanceArn, callSignal),
  );
  return { instance, local };
}
