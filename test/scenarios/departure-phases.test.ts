import { readFileSync, watch } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe } from 'vitest';
import { registerTarget } from '../../simulator/world/balancers.ts';
import { paths, type DepartureState, type Phase } from '../../core/state/state.ts';
import { scenario, type Scene } from './scenario.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { group, opsworks, terminateHook, type Node } from './stage.ts';

/** Under a loaded machine two nodes start, leave and start again in this time. */
const patienceMs = 100_000;

/** An action of the phase that takes some time, so that the node dies in the middle of it. */
const slow: Partial<Record<Phase, string>> = {
  drain: 'UpdateContainerInstancesState',
  registrar: 'UnassignInstance',
  terminate: 'TerminateInstanceInAutoScalingGroup',
};

const withTwo = { flags: opsworks, boots: false };

/**
 * Two nodes of one group, in service, with a task each; each in a target group and a classic load
 * balancer.
 */
async function twoInService(scene: Scene): Promise<[Node, Node]> {
  const { simulator } = scene;
  const { world, verbs } = simulator;
  verbs.setDesiredCapacity(group, 2);
  const nodes: [Node, Node] = [await scene.nth(1), await scene.nth(2)];
  const arn = verbs.createTargetGroup('web', { deregistrationDelaySeconds: 1 });
  verbs.createLoadBalancer('classic', { drainingSeconds: 1 });
  await Promise.all(
    nodes.map(async (node) => {
      registerTarget(world, world.targetGroups.get(arn)!, node.id);
      world.loadBalancers.get('classic')!.instances.set(node.id, 'InService');
      const balancers = `leave:\n  targetGroups: ['${arn}']\n  loadBalancers: [classic]\n`;
      await node.write(`${paths.dropIns}/50-balancers.yaml`, balancers);
      scene.expect(await node.boot()).toBe(0);
      await scene.inService(node);
      await scene.logged(node, 'joined');
    }),
  );
  verbs.createService('demo', { name: 'web', desired: 2, minimumHealthyPercent: 0, stopMs: 3_000 });
  await waitFor('a task on each', () => nodes.every((node) => tasksOf(scene, node).length > 0));
  return nodes;
}

const tasksOf = ({ simulator }: Scene, node: Node) =>
  [...simulator.world.clusters.get('demo')!.tasks.values()].filter(
    ({ containerInstance, lastStatus }) => containerInstance.instanceId === node.id && lastStatus === 'RUNNING',
  );

function readDeparture(node: Node): DepartureState | undefined {
  try {
    return JSON.parse(readFileSync(join(node.root, paths.departure), 'utf8')) as DepartureState;
  } catch {
    return undefined;
  }
}

/**
 * `kill -9` as soon as the state on disk names the phase; resolves with the state that the disk is
 * left with.
 */
function killedIn(phase: Phase, node: Node): Promise<DepartureState> {
  return new Promise((resolve, reject) => {
    const watching = watch(dirname(join(node.root, paths.departure)), () => {
      if (readDeparture(node)?.phase !== phase) return;
      node.kill();
      watching.close();
      node.ended().then(() => resolve(readDeparture(node)!), reject);
    });
  });
}

/** How the node's departure ended, as AWS saw it. */
function endOf({ simulator }: Scene, node: Node) {
  const calls = simulator.calls.find({ instanceId: node.id, outcome: 'ok' });
  const operations = calls.map(({ operation }) => operation);
  const hooks = calls.filter(({ operation }) => operation === 'CompleteLifecycleAction');
  const balancers = ['DeregisterTargets', 'DeregisterInstancesFromLoadBalancer'].map((name) =>
    operations.indexOf(name),
  );
  return {
    terminations: operations.filter((operation) => /^Terminate|SetInstanceHealth/.test(operation)).length,
    completions: hooks.filter(({ params }) => params['LifecycleHookName'] === terminateHook).length,
    // No request met a closed port: out of the balancers before ECS was told to stop anything.
    balancersFirst: balancers.every((at) => at !== -1 && at < operations.indexOf('UpdateContainerInstancesState')),
    // A departure that starts again instead of resuming would write these lines twice.
    lastWords: Math.max(1, calls.filter(({ params }) => JSON.stringify(params).includes('ecs-node:left')).length),
    tasksLeft: tasksOf({ simulator } as Scene, node).length,
  };
}

const orderly = { completions: 1, balancersFirst: true, lastWords: 1, tasksLeft: 0 };

async function killBoth(scene: Scene, phase: Phase, nodes: readonly Node[], leave: () => Promise<unknown>) {
  const { simulator, expect } = scene;
  const operation = slow[phase];
  if (operation !== undefined) {
    for (const { id } of nodes) {
      simulator.faults.add({ operation, instanceId: id, times: 1, effect: { kind: 'latency', ms: 3_000 } });
    }
  }
  const killed = Promise.all(nodes.map((node) => killedIn(phase, node)));
  await leave();
  expect((await killed).map((state) => state.phase)).toEqual([phase, phase]);
}

/** The first one after a crash, the second one after a reboot. */
async function comeBackAndEnd(scene: Scene, [crashed, rebooted]: [Node, Node]): Promise<void> {
  const { instances, registrations } = scene.simulator.world;
  await Promise.all([crashed.boot(), rebooted.reboot()]);
  for (const { id } of [crashed, rebooted]) {
    await waitFor('gone', () => instances.get(id)?.state !== 'running', patienceMs);
    await waitFor('no OpsWorks record', () => [...registrations.values()].every(({ instanceId }) => instanceId !== id));
  }
}

describe('a departure that is cut off by a crash, or by a reboot, goes on and ends once, in the phase', () => {
  for (const phase of ['announce', 'balancers', 'drain', 'tasks', 'registrar', 'terminate', 'hook'] as const) {
    scenario(`${phase}, when the node terminates itself`, withTwo, async (scene) => {
      const { expect } = scene;
      const nodes = await twoInService(scene);
      await killBoth(scene, phase, nodes, () =>
        Promise.all(nodes.map((node) => node.run(['leave', '--reason', 'kernel update', '--no-wait']))),
      );
      await comeBackAndEnd(scene, nodes);
      expect(nodes.map((node) => endOf(scene, node))).toEqual([
        { ...orderly, terminations: 1 },
        { ...orderly, terminations: 1 },
      ]);
    });
  }

  for (const phase of ['tasks', 'registrar', 'hook'] as const) {
    scenario(`${phase}, when Auto Scaling terminates it`, withTwo, async (scene) => {
      const { expect, simulator } = scene;
      const nodes = await twoInService(scene);
      await killBoth(scene, phase, nodes, async () => simulator.verbs.setDesiredCapacity(group, 0));
      await comeBackAndEnd(scene, nodes);
      expect(nodes.map((node) => endOf(scene, node))).toEqual([
        { ...orderly, terminations: 0 },
        { ...orderly, terminations: 0 },
      ]);
    });
  }
});
