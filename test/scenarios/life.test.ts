import { describe } from 'vitest';
import { scenario, type Scene } from './scenario.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { group, opsworks, type Node } from './stage.ts';

const cluster = ({ simulator }: Scene) => simulator.world.clusters.get('demo')!;
const records = ({ simulator }: Scene, node: Node) =>
  [...simulator.world.registrations.values()].filter(({ instanceId }) => instanceId === node.id);

describe.concurrent('a node', () => {
  scenario('registers in OpsWorks, joins ECS and comes into service', { flags: opsworks }, async (scene) => {
    const { expect, simulator } = scene;
    const node = await scene.launch();
    expect(await node.booted).toBe(0);
    await scene.inService(node);
    expect(await node.read('etc/ecs/ecs.config')).toContain('ECS_CLUSTER=demo\n');
    expect(await node.read('etc/chef/ohai/hints/ec2.json')).toBe('');
    const instance = simulator.world.instances.get(node.id)!;
    expect(instance.tags.get('Name')).toMatch(/^demo ECS - .+/);
    await waitFor('assigned', () => records(scene, node)[0]?.status === 'online');
    await waitFor('unprotected', () => !instance.disableApiTermination);
  });

  scenario('bootstraps twice with the same result', { flags: opsworks }, async (scene) => {
    const { expect } = scene;
    const node = await scene.launch();
    await node.booted;
    await scene.inService(node);
    const before = await node.read('etc/ecs/ecs.config');
    expect(await node.run(['bootstrap'])).toMatchObject({ code: 0 });
    expect(await node.read('etc/ecs/ecs.config')).toBe(before);
    expect(node.calls().filter((call) => call === 'opsworks:AssignInstance')).toHaveLength(1);
    expect(records(scene, node)).toHaveLength(1);
  });

  scenario('drains, leaves and is replaced when its disk stays full', { flags: opsworks }, async (scene) => {
    const { expect, simulator } = scene;
    const node = await scene.launch();
    await scene.inService(node);
    simulator.verbs.createService('demo', { name: 'web', desired: 2, minimumHealthyPercent: 0 });
    await node.fillDisk(97);
    const replacement = await scene.nth(2);
    await scene.gone(node);
    const calls = [...new Set(node.calls())];
    const order = [
      'ecs:UpdateContainerInstancesState',
      'opsworks:DeregisterInstance',
      'autoscaling:TerminateInstanceInAutoScalingGroup',
    ];
    expect(order.toSorted((a, b) => calls.indexOf(a) - calls.indexOf(b))).toEqual(order);
    expect(node.calls().at(-1)).toBe('autoscaling:CompleteLifecycleAction');
    await waitFor('no record', () => records(scene, node).length === 0);
    expect(simulator.world.instances.get(node.id)!.tags.get('ecs-node:left')).toContain('disk');
    await scene.inService(replacement);
  });

  scenario('returns to service when pruning frees its disk', {}, async (scene) => {
    const { expect } = scene;
    const node = await scene.launch();
    await scene.inService(node);
    node.prunesTo(30);
    await node.fillDisk(97);
    await waitFor('ACTIVE again', () => scene.placements(node).includes('ACTIVE'));
    expect(scene.placements(node)).toEqual(['DRAINING', 'ACTIVE']);
    expect(node.state()).toBe('InService');
  });

  scenario('drains its tasks in a scale-in before it completes the hook', {}, async (scene) => {
    const { expect, simulator } = scene;
    const node = await scene.launch();
    await scene.inService(node);
    simulator.verbs.createService('demo', { name: 'web', desired: 2, minimumHealthyPercent: 0, stopMs: 2_000 });
    const tasks = (status: string) => [...cluster(scene).tasks.values()].filter((task) => task.lastStatus === status);
    await waitFor('tasks run', () => tasks('RUNNING').length === 2);
    let stopped = -1;
    simulator.calls.listen(({ operation }) => {
      if (operation === 'CompleteLifecycleAction') stopped = tasks('STOPPED').length;
    });
    simulator.verbs.setDesiredCapacity(group, 0);
    await scene.gone(node);
    expect(stopped).toBe(2);
    expect(node.calls()).not.toContain('autoscaling:TerminateInstanceInAutoScalingGroup');
  });

  scenario('continues its departure after a kill while it drains', {}, async (scene) => {
    const { simulator } = scene;
    const node = await scene.launch();
    await scene.inService(node);
    simulator.verbs.createService('demo', { name: 'web', desired: 1, minimumHealthyPercent: 0, stopMs: 4_000 });
    await waitFor('a task runs', () => cluster(scene).tasks.size > 0);
    simulator.verbs.setDesiredCapacity(group, 0);
    await waitFor('it drains', () => scene.placements(node).length > 0);
    node.kill();
    await node.ended();
    await node.boot();
    await scene.gone(node);
  });
});
