/** Plays ECS for a cluster: it places tasks, and now and then an agent fails. */

import { begin, finish } from '../faults/causes.ts';
import { paths } from '../../../core/state/state.ts';
import type { FakeContainerInstance } from '../../fakes/cloud/cluster.ts';
import { ownInstance, type Node } from './node.ts';
import { count, note, type Region } from './region.ts';

/** The most tasks on one node at a time. */
const most = 4;

export function placeTasks(region: Region): void {
  const { chance, cluster, clock } = region;
  clock.schedule(chance.around(45_000), () => {
    const open = cluster.instances.filter(({ status, agentConnected }) => status === 'ACTIVE' && agentConnected);
    const target = open.length === 0 ? undefined : chance.pick(open);
    const there = cluster.tasks.filter(
      ({ containerInstanceArn, lastStatus }) => containerInstanceArn === target?.arn && lastStatus !== 'STOPPED',
    );
    if (target !== undefined && there.length < most) {
      cluster.addTask(target.arn, {
        group: chance.happens(0.9) ? 'service:web' : 'family:batch',
        createdAt: clock.now(),
        stopsAfterMs: chance.happens(0.05) ? Infinity : chance.around(30_000),
      });
    }
    if (cluster.tasks.length > 200) cluster.tasks = cluster.tasks.filter(({ lastStatus }) => lastStatus !== 'STOPPED');
    placeTasks(region);
  });
}

/** The agent disconnects or dies. A restart cures it or not, or the fault ends by itself. */
export function fallIll(region: Region, node: Node): void {
  const { chance, clock, stats } = region;
  const own = ownInstance(region, node);
  if (own === undefined || node.illness !== undefined) return;
  const cure = chance.pick(['restart', 'restart', 'time', 'never'] as const);
  const dead = chance.happens(0.5);
  node.illness = { cure, dead };
  count(stats.faults, `ECS agent ${dead ? 'dead' : 'disconnected'}`);
  note(region, node, `ECS agent fails (${dead ? 'dead' : 'disconnected'}), cure: ${cure}`);
  begin(node, 'ecs-agent', clock.uptime(), relapseMs(region, node));
  suffer(region, node);
  if (cure === 'time') clock.schedule(chance.around(chance.pick([60_000, 600_000])), () => heal(region, node));
}

/**
 * Three good checks end a fault. A fault that returns before them, or before the agent has
 * connected, was never over.
 */
function relapseMs({ scenario, clock }: Region, { truth }: Node): number {
  const unheardMs = clock.uptime() - truth.faultAt < 300_000 ? 90_000 : 0;
  return 3 * scenario.config.ecsAgent.pollSeconds * 1000 + 15_000 + unheardMs;
}

/** ECS loses the connection to every node. No node is at fault, and no restart helps. */
export function loseSight(region: Region): void {
  const { chance, clock, stats } = region;
  if (region.outageSince !== undefined) return;
  region.outageSince = clock.uptime();
  count(stats.faults, 'ECS loses the connection to all nodes');
  note(region, undefined, 'ECS loses the connection to all nodes');
  const hit = region.nodes.filter((node) => node.phase === 'up' && node.illness === undefined);
  for (const node of hit) {
    node.illness = { cure: 'time', dead: false };
    begin(node, 'ecs-agent', clock.uptime(), relapseMs(region, node));
    suffer(region, node);
  }
  clock.schedule(chance.around(900_000), () => {
    region.outageSince = undefined;
    for (const node of hit) heal(region, node);
  });
}

/** Also runs after a restart that did not help. */
export function suffer(region: Region, node: Node): void {
  const own = ownInstance(region, node);
  if (own !== undefined) own.agentConnected = false;
  if (node.illness?.dead === true) node.localAgent = undefined;
}

export function heal(region: Region, node: Node): void {
  if (node.illness === undefined) return;
  node.illness = undefined;
  finish(node, 'ecs-agent', region.clock.uptime());
  if (node.phase !== 'up' || node.bootstrapExit !== 0) return;
  const own = ownInstance(region, node);
  if (node.localAgent !== undefined && own !== undefined) own.agentConnected = true;
  else startEcs(region, node);
  note(region, node, 'ECS agent recovers');
}

/**
 * The ECS agent registers some seconds after its start. After a reboot it is the same container
 * instance.
 */
export function startEcs(region: Region, node: Node): void {
  const { bootedAt } = node;
  region.clock.schedule(region.chance.around(5_000), () => {
    if (node.phase !== 'up' || node.bootedAt !== bootedAt || node.localAgent !== undefined) return;
    if (node.illness?.dead === true) return;
    // ECS_WARM_POOLS_CHECK has this effect.
    if (node.pool !== undefined) return startEcs(region, node);
    const text = node.machine.files.get('/etc/ecs/ecs.config');
    const cluster = /^ECS_CLUSTER=(.*?)\r?$/m.exec(typeof text === 'string' ? text : '')?.[1] ?? 'default';
    if (cluster !== region.cluster.name) return;
    if (node.machine.units.get('ecs.service') === 'inactive') return;
    const own = registered(region, node);
    if (own === undefined) return void note(region, node, 'ECS agent ends: its container instance is gone');
    own.agentConnected = true;
    node.localAgent = { cluster, containerInstanceArn: own.arn, version: '1.106.1' };
    if (node.illness !== undefined) suffer(region, node);
    note(region, node, 'ECS agent connected', own.status);
  });
}

/** The cluster's only capacity provider. */
const provider = 'nodes';

export function openProvider({ cluster, clock, scenario }: Region): void {
  const { providerAfterMs } = scenario;
  if (providerAfterMs !== undefined)
    clock.schedule(providerAfterMs, () => void cluster.capacityProviders.set(provider, 'web'));
}

/**
 * The container instance that the agent's checkpoint names, or a new one without a checkpoint.
 * Undefined: the checkpoint names one that was deregistered.
 */
function registered({ cluster }: Region, { id, machine }: Node): FakeContainerInstance | undefined {
  const file = `${paths.ecsData}/agent.db`;
  const arn = machine.files.get(file);
  const known = cluster.instances.find((each) => each.arn === arn);
  if (known !== undefined) return known.status === 'INACTIVE' ? undefined : known;
  const inside = cluster.capacityProviders.has(provider) ? { capacityProvider: provider } : {};
  const own = cluster.addInstance({ ec2InstanceId: id, ...inside });
  machine.files.set(file, own.arn);
  return own;
}

export function stopEcs(region: Region, node: Node): void {
  node.localAgent = undefined;
  const own = ownInstance(region, node);
  if (own !== undefined) own.agentConnected = false;
}

/** Plays `systemctl restart ecs`: the agent is gone for a while, and then its fault decides. */
export function restartEcs(region: Region, node: Node): void {
  if (node.illness?.cure === 'restart' && region.chance.happens(0.7)) {
    node.illness = undefined;
    finish(node, 'ecs-agent', region.clock.uptime());
  }
  stopEcs(region, node);
  startEcs(region, node);
}
