import { describe } from 'vitest';
import { paths } from '../../core/state/state.ts';
import { startedBy } from '../../upkeep/daemon-tasks.ts';
import { scenario, type Scene } from './scenario.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import type { Node } from './stage.ts';

const definitions = 'daemonTasks:\n  definitions: [logs]\n  everySeconds: 5\n  revisionSeconds: 10\n';
const withLogs = {
  prepare: (node: Node) => node.write(`${paths.dropIns}/50-daemon-tasks.yaml`, definitions),
  boots: false,
};

/** A busy machine needs several of its intervals. */
const patienceMs = 60_000;

const tasksOf = ({ simulator }: Scene, family = 'logs') =>
  [...simulator.world.clusters.get('demo')!.tasks.values()].filter(({ taskDefinition }) =>
    taskDefinition.includes(`/${family}:`),
  );

async function launch(scene: Scene): Promise<Node> {
  scene.simulator.verbs.registerTaskDefinition('logs', { cpu: 32, memory: 64 });
  const node = await scene.launch();
  scene.expect(await node.boot()).toBe(0);
  return node;
}

const running = (scene: Scene, revision = 1) =>
  tasksOf(scene).filter(
    ({ lastStatus, taskDefinition }) => lastStatus === 'RUNNING' && taskDefinition.endsWith(`:${revision}`),
  );

describe.concurrent('the daemon tasks of a node', () => {
  scenario(
    'run once it is in service, are restarted, replaced by a new revision, and shown',
    withLogs,
    async (scene) => {
      const { expect, simulator } = scene;
      // An SDK that tried again by itself would have started two.
      simulator.faults.add({ service: 'ecs', operation: 'StartTask', times: 1, effect: { kind: 'cut' } });
      const node = await launch(scene);
      await waitFor('it runs', () => running(scene).length === 1, patienceMs);
      await waitFor(
        'it is known',
        async () => /"standing": "runs"/.test((await node.read(paths.daemonTasks)) ?? ''),
        patienceMs,
      );
      expect(tasksOf(scene)).toMatchObject([{ startedBy, group: 'family:logs' }]);
      simulator.verbs.endTask('demo', tasksOf(scene)[0]!.arn, 'exit 137');
      await waitFor('it runs again', () => running(scene).length === 1 && tasksOf(scene).length === 2, patienceMs);

      simulator.verbs.registerTaskDefinition('logs', { cpu: 32, memory: 64 });
      await waitFor('the new revision runs', () => running(scene, 2).length === 1, patienceMs);
      const [, second, third] = tasksOf(scene);
      expect(third!.createdAt).toBeGreaterThanOrEqual(second!.stoppedAt!);
      expect(second!.stoppedReason).toBe('ecs-node: replaced by logs:2');
      expect(tasksOf(scene)).toHaveLength(3);
      await waitFor('the status says so', async () =>
        /Daemon tasks\n +logs +runs .*logs:2, task /.test((await node.run(['status'])).stdout),
      );
    },
  );

  scenario('run once, although the answer to the start was lost and the agent killed then', withLogs, async (scene) => {
    const { expect, simulator } = scene;
    simulator.faults.add({ service: 'ecs', operation: 'StartTask', times: 1, effect: { kind: 'cut' } });
    const node = await launch(scene);
    await waitFor('it was asked for', () => node.calls().includes('ecs:StartTask'), patienceMs);
    node.kill();
    expect(await node.boot()).toBe(0);
    const memory = async () => (await node.read(paths.daemonTasks)) ?? '';
    await waitFor('it is known', async () => /"standing": "runs"/.test(await memory()), patienceMs);
    expect(tasksOf(scene)).toHaveLength(1);
    expect(node.calls().filter((call) => call === 'ecs:StartTask')).toHaveLength(1);
  });

  scenario('stop last on a node that leaves, before its hook is completed', withLogs, async (scene) => {
    const { expect, simulator } = scene;
    const node = await launch(scene);
    await scene.inService(node);
    await waitFor('it runs', () => running(scene).length === 1, patienceMs);
    // With only these permissions, the task starts again, and stops.
    const { stdout } = await node.run(['policy']);
    simulator.verbs.setPolicy(node.id, JSON.parse(stdout));
    simulator.verbs.endTask('demo', tasksOf(scene)[0]!.arn);
    await waitFor('it runs again', () => running(scene).length === 1 && tasksOf(scene).length === 2, patienceMs);
    simulator.verbs.createService('demo', { name: 'web', desired: 1, minimumHealthyPercent: 0, stopMs: 3_000 });
    await waitFor('there is other work', () => tasksOf(scene, 'web')[0]?.lastStatus === 'RUNNING');
    expect(await node.run(['leave', '--reason', 'test'])).toMatchObject({ code: 0 });
    await scene.gone(node);
    const [, logs] = tasksOf(scene);
    const [web] = tasksOf(scene, 'web');
    expect(logs!.stoppingAt).toBeGreaterThanOrEqual(web!.stoppedAt!);
    const completed = simulator.calls.find({
      operation: 'CompleteLifecycleAction',
      instanceId: node.id,
      outcome: 'ok',
    });
    expect(completed.at(-1)!.at).toBeGreaterThanOrEqual(logs!.stoppedAt!);
    expect(tasksOf(scene)).toHaveLength(2);
    expect(logs!.stoppedReason).toContain('all other tasks have stopped');
  });
});
