import { afterAll, describe } from 'vitest';
import { scenario, type Scene } from '../scenarios/scenario.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { group, settings, terminateHook, type Node, type StageOptions } from '../scenarios/stage.ts';
import { openMetadataMock, type MetadataMock } from './metadata-mock.ts';

/** Mocks by endpoint and instance. */
const mocks = new Map<string, MetadataMock>();
afterAll(async () => {
  for (const mock of mocks.values()) await mock.close();
});

const spot: StageOptions['groups'] = [
  {
    name: group,
    hooks: [{ name: terminateHook, transition: 'terminate' }],
    template: { purchase: 'spot' },
  },
];

/** A stage whose nodes read the mock's metadata; the simulator provides everything else. */
const withMock = (flags: Readonly<Record<string, unknown>> = {}): StageOptions => ({
  flags: settings({ 'maintenance.pollSeconds': 10, 'rebalance.pollSeconds': 1, 'spot.pollSeconds': 1, ...flags }),
  async environment(simulator, id) {
    const mock = await openMetadataMock(simulator, id);
    mocks.set(simulator.endpoint + id, mock);
    return mock.environment;
  },
  groups: spot,
});

/** The mock's own event id, which EC2's status must list too: EC2 is the second source. */
const eventId = 'instance-event-1234567890abcdef0';

const mockOf = ({ simulator }: Scene, node: Node) => mocks.get(simulator.endpoint + node.id)!;

async function inService(scene: Scene): Promise<[Node, MetadataMock]> {
  const node = await scene.launch();
  await scene.inService(node);
  await scene.logged(node, 'joined');
  return [node, mockOf(scene, node)];
}

const lastWords = ({ simulator }: Scene, node: Node) =>
  simulator.world.instances.get(node.id)!.tags.get('ecs-node:left') ?? '';
const terminations = (node: Node) => node.calls().filter((call) => /:Terminate|SetInstanceHealth/.test(call));
const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString().replace(/\.\d+/, '');
const aTask = async ({ simulator }: Scene, stopMs: number) => {
  simulator.verbs.createService('demo', { name: 'web', desired: 1, minimumHealthyPercent: 0, stopMs });
  const { tasks } = simulator.world.clusters.get('demo')!;
  await waitFor('a task runs', () => [...tasks.values()].some(({ lastStatus }) => lastStatus === 'RUNNING'));
};

describe.concurrent('by the metadata of amazon-ec2-metadata-mock a node', () => {
  for (const [what, time] of [
    ['with a fixed time', () => ['--time', inSeconds(60)]],
    // Without a time, the mock always answers two minutes from now. AWS's own time does not move.
    ['whose time moves with every read', () => []],
  ] as const) {
    scenario(`leaves at a spot interruption ${what}`, withMock(), async (scene) => {
      const { expect } = scene;
      const [node, mock] = await inService(scene);
      await aTask(scene, 5_000);
      // The second source: EC2 marks the spot request.
      scene.simulator.verbs.noticeSpot(node.id, 'terminate', 3_600_000);
      await mock.says('spot', '--action', 'terminate', '--rebalance-delay-sec', '86400', ...time());
      await waitFor('DRAINING', () => scene.placements(node).length > 0);
      await waitFor('last words', () => lastWords(scene, node).startsWith('spot: spot interruption: terminate at '));
      expect(scene.placements(node)).toEqual(['DRAINING']);
      expect(node.log.filter(({ message }) => message === 'leaving')).toHaveLength(1);
      expect(terminations(node)).toEqual([]);
    });
  }

  scenario('logs a rebalance recommendation, and stays', withMock(), async (scene) => {
    const { expect } = scene;
    const [node, mock] = await inService(scene);
    const notice = inSeconds(0);
    await mock.says('spot', '--mock-delay-sec', '86400', '--rebalance-rec-time', notice);
    const logged = () => node.log.filter(({ reason }) => reason === `rebalance recommendation of ${notice}`);
    await waitFor('the log entry', () => logged().length > 0);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(logged()).toHaveLength(1);
    expect(scene.placements(node)).toEqual([]);
  });

  scenario(
    'drains for a rebalance recommendation if so configured',
    withMock({ 'rebalance.action': 'drain' }),
    async (scene) => {
      const [node, mock] = await inService(scene);
      await mock.says('spot', '--mock-delay-sec', '86400', '--rebalance-rec-time', inSeconds(0));
      await waitFor('DRAINING', () => scene.placements(node).at(-1) === 'DRAINING');
    },
  );

  scenario('leaves through its group before its retirement', withMock(), async (scene) => {
    const { expect } = scene;
    const [node, mock] = await inService(scene);
    scene.simulator.verbs.scheduleMaintenance(node.id, { code: 'instance-retirement', id: eventId });
    await mock.says('events', '--code', 'instance-retirement');
    await scene.gone(node);
    expect(lastWords(scene, node)).toMatch(/^maintenance: instance-retirement not before .*scheduled for instance-/);
    expect(terminations(node)).toEqual(['autoscaling:TerminateInstanceInAutoScalingGroup']);
    await scene.nth(2);
  });

  scenario('drains for a reboot in an hour, and is ACTIVE again after its cancellation', withMock(), async (scene) => {
    const { expect } = scene;
    const [node, mock] = await inService(scene);
    await aTask(scene, 60_000);
    const reboot = ['events', '--code', 'system-reboot', '--not-before', inSeconds(3_600)];
    scene.simulator.verbs.scheduleMaintenance(node.id, {
      code: 'system-reboot',
      id: eventId,
      notBefore: Date.now() + 3_600_000,
    });
    await mock.says(...reboot, '--state', 'active');
    await waitFor('DRAINING', () => scene.placements(node).at(-1) === 'DRAINING');
    scene.simulator.verbs.endMaintenance(node.id, eventId, 'canceled');
    await mock.says(...reboot, '--state', 'canceled');
    await waitFor('ACTIVE', () => scene.placements(node).at(-1) === 'ACTIVE');
    expect(node.state()).toBe('InService');
    expect(terminations(node)).toEqual([]);
  });

  scenario('sees its scale-in before the group reports it, and waits for the group', withMock(), async (scene) => {
    const { expect, simulator } = scene;
    const [node, mock] = await inService(scene);
    await mock.says('asglifecycle', '--asg-termination-delay-sec', '0');
    await waitFor('DRAINING', () => scene.placements(node).at(-1) === 'DRAINING');
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    expect(node.state()).toBe('InService');
    expect(lastWords(scene, node)).toBe('');
    simulator.verbs.setDesiredCapacity(group, 0);
    await scene.gone(node);
    const completed = simulator.calls.find({ operation: 'CompleteLifecycleAction', outcome: 'ok' });
    expect(completed.map(({ params }) => params['LifecycleActionResult'])).toEqual(['CONTINUE']);
    expect(terminations(node)).toEqual([]);
  });
});
