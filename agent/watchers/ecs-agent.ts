/** Is the ECS agent alive and connected? Restarts it, and gives the node up when that did not help. */

import type { Config } from '../../core/config.ts';
import { Unavailable } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { askOnce } from '../asking.ts';
import { leaveQueue } from '../brake.ts';
import { findPlace, readLocalAgent } from '../container-instance.ts';
import { openPace } from '../pace.ts';
import { openStand } from '../stand.ts';
import type { Finding, Watcher } from '../watcher.ts';
import type { Sighting } from '../sighting.ts';

/** How often ECS is asked although the agent on this machine answers: agents have looked healthy while disconnected. */
const crossCheckMs = 600_000;

/** Fewer than this many disconnected nodes are no outage, however small the cluster is. */
const fewest = 2;

interface Answer {
  at: number;
  connected: boolean;
  arn: string | undefined;
}

export function watchEcsAgent(config: Config, sighting: Sighting = {}): Watcher {
  const { action, pollSeconds, patienceSeconds, restarts, maxDisconnectedPercent } = config.ecsAgent;
  // Only spares calls: what ECS said last. What follows from it is the judge's business.
  let asked: Answer | undefined;
  const crossCheck = openPace();
  const stand = openStand('ecs-agent', config.disk.maxLeavingPercent, sighting);

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
    everyMs: pollSeconds * 1000,
    deadlineMs: 45_000,
    // While the agent waits in a warm pool it is silent on purpose.
    afterJoin: true,

    async check(host, signal) {
      const local = await readLocalAgent(host, signal);
      const arn = local?.containerInstanceArn;
      const now = host.clock.uptime();
      asked = newer(asked, sighting);
      const recent = asked !== undefined && asked.connected && now - asked.at < crossCheckMs;
      if (arn !== undefined && recent) return { kind: 'well' };
      // A second opinion: the introspection port may be closed on a node that works.
      const ask = () =>
        askOnce(host, signal, (inner) =>
          host.cloud.readContainerInstance(local?.cluster ?? config.cluster, arn ?? asked?.arn, inner),
        );
      // An agent that is silent, or was disconnected, is asked about each time.
      const isAiling = arn === undefined || asked?.connected === false;
      const known = await (isAiling ? ask() : crossCheck(host.clock, ask));
      asked = { at: now, connected: known?.agentConnected === true, arn: known?.arn };
      if (known === undefined) return ailing('ECS does not know this node');
      if (!known.agentConnected) {
        return ailing(arn === undefined ? 'the ECS agent is gone' : 'the ECS agent is disconnected');
      }
      return { kind: 'well' };
    },

    async treat(host, _attempt, signal) {
      await refuseOutage(host, config.cluster, maxDisconnectedPercent, signal);
      await host.machine.restartUnit('ecs.service', signal);
      return 'done';
    },

    async mayLeave(host, signal) {
      await refuseOutage(host, config.cluster, maxDisconnectedPercent, signal);
      const place = await findPlace(host, config, 20_000, signal);
      // A node that ECS has forgotten stands in nobody's queue; it is no capacity to be saved either.
      if (place === undefined) return 'go';
      return (await stand.mayGo(host, place, signal)) ? 'go' : 'wait';
    },

    async recover(host, signal) {
      const place = await findPlace(host, config, 20_000, signal);
      if (place === undefined) return;
      if (!(await stand.isQueued(host, place, signal))) return;
      await leaveQueue(host, place, 'ecs-agent', signal);
    },
  };
}

/** Joining asks the same. */
function newer(asked: Answer | undefined, { seen }: Sighting): Answer | undefined {
  if (seen === undefined || (asked !== undefined && seen.at <= asked.at)) return asked;
  return { at: seen.at, connected: seen.instance.agentConnected, arn: seen.instance.arn };
}

/** When much of the cluster is disconnected the fault is not this node's: throws, so that nothing is done. */
async function refuseOutage(host: Host, cluster: string, maxPercent: number, signal: AbortSignal): Promise<void> {
  const { registered, disconnected } = await askOnce(host, signal, (inner) =>
    host.cloud.readClusterHealth(cluster, inner),
  );
  if (disconnected >= fewest && disconnected > (maxPercent / 100) * registered) {
    throw new Unavailable(`${disconnected} of ${registered} nodes are disconnected: the fault is not this node's`);
  }
}
