/** Plays Auto Scaling, EC2, systemd and the ECS agent for the machines of a storm. */

import { exitCode } from '../../core/errors.ts';
import { programs } from '../../test/simulation/world/programs.ts';
import { ecsAgent, openClient } from './client.ts';
import { openStormHost, openStormNode, type Process, type StormNode } from './node.ts';
import { since, type World } from './world.ts';

/** The values of systemd/ecs-node-bootstrap.service and ecs-node.service. */
const units = {
  bootstrap: { restartMs: 10_000, final: [64, 77, 78] },
  agent: { restartMs: 5_000, final: [0, 64, 78] },
} as const;

/**
 * From the launch to systemd's start of the unit, on the machines of a group that launches at once.
 */
const bootMs = [15_000, 30_000] as const;

/** From the group's decision until the machine is gone, and from there to the next launch. */
const shutdownMs = [10_000, 60_000] as const;
const replaceMs = 30_000;

export function launch(world: World): StormNode {
  const node = openStormNode(world, (gone) => shutDown(world, gone));
  world.nodes.push(node);
  node.group.begin('launch');
  world.clock.schedule(world.chance.between(...bootMs), () => {
    if (node.phase !== 'booting') return;
    node.phase = 'up';
    start(world, node, 'bootstrap');
  });
  return node;
}

function start(world: World, node: StormNode, unit: keyof typeof units): void {
  const process: Process = { alive: true, stop: new AbortController() };
  node.process[unit] = process;
  const host = openStormHost(world, node, process);
  void programs[unit](host, world.config, process.stop.signal)
    .catch((error: unknown) => {
      const code = exitCode(error);
      if (code === 70 && !process.stop.signal.aborted) world.violations.push(`${node.id}: ${unit}: ${String(error)}`);
      return code;
    })
    .then((code) => {
      process.alive = false;
      if (node.process[unit] === process) ended(world, node, unit, code);
    });
}

function ended(world: World, node: StormNode, unit: keyof typeof units, code: number): void {
  node.process[unit] = undefined;
  if (node.phase !== 'up') return;
  if (unit === 'bootstrap' && code === 0) {
    void startEcs(world, node);
    start(world, node, 'agent');
    return;
  }
  const { restartMs, final } = units[unit];
  if ((final as readonly number[]).includes(code)) return;
  world.clock.schedule(restartMs, () => {
    if (node.phase === 'up' && node.process[unit] === undefined) start(world, node, unit);
  });
}

/** The ECS agent registers some seconds after its start, and retries until it succeeds. */
export async function startEcs(
  world: World,
  node: Pick<StormNode, 'id' | 'phase'> & Partial<StormNode>,
): Promise<void> {
  const { clock, chance, cluster, wire, flaw } = world;
  const forEver = new AbortController().signal;
  await clock.sleep(chance.around(5_000), forEver);
  const version = '1.106.1';
  if (flaw === 'other cluster') {
    // The image contains another instance's checkpoint, so the agent believes that it is registered
    // there.
    node.localAgent = {
      cluster: 'other',
      containerInstanceArn: 'arn:aws:ecs:us-east-1:123456789012:container-instance/other/0',
      version,
    };
    return;
  }
  const client = openClient(wire, ecsAgent, clock.sleep);
  for (;;) {
    try {
      await client.call('ecs:RegisterContainerInstance', forEver);
      break;
    } catch {
      await clock.sleep(chance.around(5_000), forEver);
    }
  }
  if (node.phase !== 'up') return;
  const own = cluster.addInstance({ ec2InstanceId: node.id });
  node.containerInstance = own;
  node.localAgent = { cluster: cluster.name, containerInstanceArn: own.arn, version };
}

/**
 * Runs after Auto Scaling, EC2 or the node itself terminates the instance: systemd stops the
 * programs, and the machine is gone some time later.
 */
export function shutDown(world: World, node: StormNode): void {
  if (node.phase === 'stopping' || node.phase === 'gone') return;
  node.phase = 'stopping';
  const wrongly = world.flaw === 'none' && !node.doomed;
  world.deaths.push({ at: since(world), id: node.id, wrongly });
  if (wrongly) world.violations.push(`${node.id} ended after ${Math.round(since(world) / 1000)} s: ${lastWords(node)}`);
  for (const process of [node.process.bootstrap, node.process.agent])
    process?.stop.abort(new Error('stopped by SIGTERM'));
  world.clock.schedule(world.chance.between(...shutdownMs), () => vanish(world, node));
}

function lastWords({ instance, group }: StormNode): string {
  return instance.tags['ecs-node:left'] ?? `in state ${group.lifecycleState}`;
}

function vanish(world: World, node: StormNode): void {
  node.phase = 'gone';
  for (const process of [node.process.bootstrap, node.process.agent]) if (process !== undefined) process.alive = false;
  node.process = {};
  node.localAgent = undefined;
  if (node.containerInstance !== undefined) node.containerInstance.status = 'INACTIVE';
  if (world.replaces) world.clock.schedule(replaceMs, () => void launch(world));
}
