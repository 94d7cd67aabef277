import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, inject } from 'vitest';
import { detailSchema, type EventType } from '../../core/events/event-schema.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { scenario, type Scene } from './scenario.ts';
import { settings, type Node } from './stage.ts';

const withBus = settings({ 'events.bus': 'default' });

const eventsOf = ({ simulator }: Scene, { id }: Node) =>
  simulator.world.events.filter(({ instanceId }) => instanceId === id);

const typesOf = (scene: Scene, node: Node) => eventsOf(scene, node).map(({ type }) => type);

async function history({ simulator }: Scene, ...words: string[]): Promise<string> {
  const args = ['fleet', '--cluster', 'demo', '--history', ...words];
  const env = simulator.operatorEnvironment();
  const { stdout } = await promisify(execFile)(inject('binary'), args, { env });
  return stdout;
}

describe.concurrent('the team', () => {
  scenario(
    'learns from its events why a node ended, long after the node is gone',
    { flags: withBus },
    async (scene) => {
      const { expect, simulator } = scene;
      const node = await scene.launch();
      await scene.inService(node);
      simulator.verbs.createService('demo', { name: 'web', desired: 1, minimumHealthyPercent: 0, stopMs: 1_000 });
      await node.fillDisk(97);
      await scene.gone(node);
      await waitFor('left', () => typesOf(scene, node).includes('left'));
      expect(typesOf(scene, node)).toEqual(['joined', 'disk-full', 'draining', 'left']);
      for (const { type, detail } of eventsOf(scene, node))
        expect(detailSchema(type as EventType).safeParse(detail)).toMatchObject({ success: true });
      // The order of the calls: no event before its deed.
      const calls = node.calls();
      const puts = calls.flatMap((call, at) => (call === 'events:PutEvents' ? [at] : []));
      expect(puts[2]).toBeGreaterThan(calls.indexOf('ecs:UpdateContainerInstancesState'));
      expect(puts[3]).toBeGreaterThan(calls.indexOf('autoscaling:TerminateInstanceInAutoScalingGroup'));

      const all = await history(scene);
      expect(all).toMatch(new RegExp(`${node.id} +left +disk +disk full: `));
      const one = await history(scene, node.id);
      expect(one).toMatch(/confirmed by: \S+/);
      expect(one).toMatch(/phases:\n +announce at /);
      expect(JSON.parse(await history(scene, node.id, '--json'))).toHaveLength(4);
    },
  );

  scenario(
    'gets no event when the role may send none, and the node still leaves',
    { flags: withBus },
    async (scene) => {
      const { expect, simulator } = scene;
      const node = await scene.launch();
      const Statement = [
        { Effect: 'Allow', Action: '*', Resource: '*' },
        { Effect: 'Deny', Action: 'events:PutEvents', Resource: '*' },
      ];
      simulator.verbs.setPolicy(node.id, { Version: '2012-10-17', Statement });
      await scene.inService(node);
      await node.fillDisk(97);
      await scene.gone(node);
      expect(simulator.world.instances.get(node.id)!.tags.get('ecs-node:left')).toContain('disk');
      await scene.logged(node, 'event not sent');
    },
  );

  scenario('gets the events of a node that a silent bus does not delay', { flags: withBus }, async (scene) => {
    const { expect, simulator } = scene;
    simulator.faults.add({ service: 'events', effect: { kind: 'hang' } });
    const node = await scene.launch();
    await scene.inService(node);
    await node.fillDisk(97);
    await scene.gone(node);
    expect(node.calls()).toContain('autoscaling:TerminateInstanceInAutoScalingGroup');
    expect(simulator.world.events).toEqual([]);
  });
});

scenario(
  'a textfile for Prometheus is there for every user to read',
  { flags: settings({ 'metrics.textfile': '/run/ecs-node/metrics/ecs-node.prom', 'metrics.everySeconds': 10 }) },
  async (scene) => {
    const { expect } = scene;
    const node = await scene.launch();
    await scene.inService(node);
    const file = 'run/ecs-node/metrics/ecs-node.prom';
    await waitFor('textfile', async () => (await node.read(file))?.endsWith('# EOF\n') === true);
    expect(await node.read(file)).toMatch(/^ecs_node_disk_space_used_bytes\{cluster="demo",.*mountpoint="\/"\} \d+/m);
  },
);
