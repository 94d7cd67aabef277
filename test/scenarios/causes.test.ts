import { describe } from 'vitest';
import { scenario, type Scene } from './scenario.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { group, opsworks, settings, terminateHook, type Node } from './stage.ts';

const instance = ({ simulator }: Scene, node: Node) => simulator.world.instances.get(node.id)!;
/** The report that the node leaves on its own instance: cause and reason. */
const lastWords = (scene: Scene, node: Node) => instance(scene, node).tags.get('ecs-node:left') ?? '';
const terminations = (node: Node) =>
  node.calls().filter((call) => /:Terminate|SetInstanceHealth|StopInstances/.test(call));
const completions = ({ simulator }: Scene, node: Node) =>
  simulator.calls
    .find({ operation: 'CompleteLifecycleAction', instanceId: node.id, outcome: 'ok' })
    .map((call) => call.params);

async function inService(scene: Scene): Promise<Node> {
  const node = await scene.launch();
  await scene.inService(node);
  await scene.logged(node, 'joined');
  return node;
}

describe.concurrent('a node leaves when', () => {
  scenario('EC2 takes its spot instance back: drained at once, terminated by EC2', { spot: true }, async (scene) => {
    const { expect, simulator } = scene;
    const node = await inService(scene);
    simulator.verbs.noticeSpot(node.id, 'terminate', 40_000);
    await waitFor('DRAINING', () => scene.placements(node)[0] === 'DRAINING');
    await waitFor('last words', () => lastWords(scene, node).startsWith('spot'));
    expect(terminations(node)).toEqual([]);
  });

  scenario('Auto Scaling scales it in: hook CONTINUE, and nothing terminated by the node', {}, async (scene) => {
    const { expect, simulator } = scene;
    const node = await inService(scene);
    simulator.verbs.setDesiredCapacity(group, 0);
    await scene.gone(node);
    const [, last] = completions(scene, node);
    expect(last).toMatchObject({ LifecycleHookName: terminateHook, LifecycleActionResult: 'CONTINUE' });
    expect(terminations(node)).toEqual([]);
  });

  scenario(
    'EC2 retires its hardware: through its group, so that it is replaced',
    { flags: settings({ 'maintenance.pollSeconds': 10 }) },
    async (scene) => {
      const { expect, simulator } = scene;
      const node = await inService(scene);
      simulator.verbs.scheduleMaintenance(node.id, { code: 'instance-retirement' });
      await scene.gone(node);
      expect(lastWords(scene, node)).toMatch(/^maintenance/);
      expect(terminations(node)).toEqual(['autoscaling:TerminateInstanceInAutoScalingGroup']);
      await scene.nth(2);
    },
  );

  scenario('an operator requests it, and comes back when the operator requests that in time', {}, async (scene) => {
    const { expect, simulator } = scene;
    const node = await inService(scene);
    simulator.verbs.createService('demo', { name: 'web', desired: 1, minimumHealthyPercent: 0, stopMs: 20_000 });
    await waitFor('a task', () => simulator.world.clusters.get('demo')!.tasks.size > 0);
    expect(await node.run(['leave', '--reason', 'kernel update', '--no-terminate', '--no-wait'])).toMatchObject({
      code: 0,
    });
    await waitFor('DRAINING', () => scene.placements(node).at(-1) === 'DRAINING');
    await waitFor('named', async () => (await node.run(['status'])).stdout.includes('kernel update'));
    expect(await node.run(['stay', '--no-wait'])).toMatchObject({ code: 0 });
    await waitFor('ACTIVE', () => scene.placements(node).at(-1) === 'ACTIVE');
    expect(node.state()).toBe('InService');
    expect(terminations(node)).toEqual([]);
  });

  scenario(
    'its ECS agent is gone and does not come back',
    {
      flags: settings({ 'ecsAgent.pollSeconds': 5, 'ecsAgent.patienceSeconds': 60, 'ecsAgent.restarts': 0 }),
    },
    async (scene) => {
      const { expect, simulator } = scene;
      const node = await inService(scene);
      simulator.verbs.stopEcsAgent(node.id);
      await waitFor(
        'leaving',
        () => node.log.some(({ message, cause }) => message === 'leaving' && cause === 'ecs-agent'),
        200_000,
      );
      await scene.gone(node);
      expect(terminations(node)).toContain('autoscaling:TerminateInstanceInAutoScalingGroup');
    },
  );
});

describe.concurrent('a node stays when', () => {
  scenario(
    'EC2 recommends a rebalance: it logs that once',
    { spot: true, flags: settings({ 'rebalance.pollSeconds': 1 }) },
    async (scene) => {
      const { expect, simulator } = scene;
      const node = await inService(scene);
      simulator.verbs.recommendRebalance(node.id);
      const told = () => node.log.filter((line) => String(line['reason']).startsWith('rebalance'));
      await waitFor('told', () => told().length > 0);
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      expect(told()).toHaveLength(1);
      expect(scene.placements(node)).toEqual([]);
    },
  );

  scenario('its maintenance is weeks away', { flags: settings({ 'maintenance.pollSeconds': 10 }) }, async (scene) => {
    const { expect, simulator } = scene;
    const node = await inService(scene);
    simulator.verbs.scheduleMaintenance(node.id, { code: 'system-reboot', notBefore: Date.now() + 14 * 86_400_000 });
    await waitFor('told', () => node.log.some((line) => String(line['reason']).startsWith('system-reboot')));
    expect(scene.placements(node)).toEqual([]);
  });

  scenario('all of AWS is silent for a while, with a full disk', {}, async (scene) => {
    const { expect, simulator } = scene;
    const node = await inService(scene);
    const heal = simulator.faults.add({ effect: { kind: 'refuse' } });
    await node.fillDisk(97);
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    expect(instance(scene, node).state).toBe('running');
    expect(terminations(node)).toEqual([]);
    await node.fillDisk(20);
    heal();
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    expect(node.state()).toBe('InService');
  });
});

describe.concurrent('a departure', () => {
  scenario('follows the spot notice that comes in the middle of a scale-in', { spot: true }, async (scene) => {
    const { expect, simulator } = scene;
    const node = await inService(scene);
    simulator.verbs.createService('demo', { name: 'web', desired: 1, minimumHealthyPercent: 0, stopMs: 60_000 });
    await waitFor('a task', () => simulator.world.clusters.get('demo')!.tasks.size > 0);
    simulator.verbs.setDesiredCapacity(group, 0);
    await waitFor('waiting', () => node.log.some(({ message }) => message === 'waiting for tasks'));
    simulator.verbs.noticeSpot(node.id, 'terminate', 30_000);
    // 30 s less the margin of 20: the task that would take a minute is stopped before the machine
    // is gone.
    await waitFor('its task is stopped', () => node.calls().includes('ecs:StopTask'));
    expect(terminations(node)).toEqual([]);
  });

  scenario('leaves the hooks of other programs alone', { hooks: true }, async (scene) => {
    const { expect, simulator } = scene;
    simulator.verbs.putHook(group, {
      name: 'ecs-managed-draining-termination-hook',
      transition: 'terminate',
      completesAfterMs: 4_000,
    });
    const node = await inService(scene);
    simulator.verbs.setDesiredCapacity(group, 0);
    await scene.gone(node);
    expect(completions(scene, node).map((params) => params['LifecycleHookName'])).not.toContain(
      'ecs-managed-draining-termination-hook',
    );
  });

  scenario(
    'survives the false "No active Lifecycle Action" of Auto Scaling at first',
    { settings: { autoscaling: { noActiveActionMs: 4_000 } } },
    async (scene) => {
      const { expect, simulator } = scene;
      const node = await inService(scene);
      simulator.verbs.setDesiredCapacity(group, 0);
      await scene.gone(node);
      expect(completions(scene, node)).toHaveLength(2);
    },
  );

  for (const effect of [
    { kind: 'throttle' },
    { kind: 'cut' },
    { kind: 'error', code: 'ServiceUnavailable', status: 503 },
  ] as const) {
    scenario(`continues when every call fails three times (${effect.kind})`, { flags: opsworks }, async (scene) => {
      const { simulator } = scene;
      const node = await inService(scene);
      for (const operation of [
        'UpdateContainerInstancesState',
        'DeregisterInstance',
        'CompleteLifecycleAction',
        'ListTasks',
      ]) {
        simulator.faults.add({ operation, times: 3, effect });
      }
      simulator.verbs.setDesiredCapacity(group, 0);
      await scene.gone(node);
      const records = () => [...simulator.world.registrations.values()];
      // OpsWorks may still be deregistering it when Auto Scaling is done.
      await waitFor('no record', () => records().every(({ instanceId }) => instanceId !== node.id));
    });
  }

  scenario('completes the hook although AWS refuses every other step', { flags: opsworks }, async (scene) => {
    const { expect, simulator } = scene;
    const node = await inService(scene);
    for (const operation of [
      'UpdateContainerInstancesState',
      'ListTasks',
      'UnassignInstance',
      'DeregisterInstance',
      'CreateTags',
    ]) {
      simulator.faults.add({ operation, effect: { kind: 'error', code: 'AccessDeniedException', status: 400 } });
    }
    simulator.verbs.setDesiredCapacity(group, 0);
    await scene.gone(node);
    expect(completions(scene, node)).toHaveLength(2);
    expect(await node.read('var/lib/ecs-node/departure.json')).toContain('is not allowed');
  });
});
