import { execFile } from 'node:child_process';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { startSimulator, type ServiceOptions, type Simulator } from '../../../simulator/simulator.ts';
import { waitFor } from '../../../simulator/wait-for.ts';

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

const lineIn = (cluster: string) => ['service-size', '--cluster', cluster, '--service', 'web'];
const line = lineIn('demo');

function execute(words: readonly string[], env: Record<string, string | undefined>): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(inject('binary'), words, { env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
    );
  });
}

interface Stage {
  simulator: Simulator;
  /** In the order of their launch. */
  nodes: string[];
  join(nodes: number): Promise<void>;
  run(...words: string[]): Promise<Ended>;
  runIn(cluster: string): Promise<Ended>;
  /** With the credentials of a node, which it gets from the metadata service, and its region. */
  runOn(node: string, ...words: string[]): Promise<Ended>;
  report(...words: string[]): Promise<Record<string, unknown>>;
  desired(): number;
  running(): number;
  /** All calls that change something. */
  mutations(): string[];
}

/** A cluster with this many nodes and one service. */
async function openStage(nodes: number, service: Partial<ServiceOptions> = {}): Promise<Stage> {
  const simulator = await startSimulator();
  onTestFinished(() => simulator.close());
  const { byInstance, services, tasks } = simulator.world.clusters.get('demo')!;
  const env = { PATH: process.env['PATH'], ...simulator.operatorEnvironment() };
  const stage: Stage = {
    simulator,
    nodes: [],
    async join(count) {
      for (const { id } of await simulator.verbs.scaleTo('ecs-nodes', count)) {
        if (stage.nodes.includes(id)) continue;
        stage.nodes.push(id);
        simulator.verbs.startEcsAgent(id, 'demo');
      }
      await waitFor('registered', () => stage.nodes.every((id) => byInstance.has(id)));
    },
    run: (...words) => execute([...line, ...words], env),
    runIn: (cluster) => execute(lineIn(cluster), env),
    runOn: (node, ...words) =>
      execute([...line, ...words], { PATH: process.env['PATH'], ...simulator.environmentFor(node) }),
    async report(...words) {
      const { code, stdout, stderr } = await stage.run('--json', ...words);
      expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
      return JSON.parse(stdout) as Record<string, unknown>;
    },
    desired: () => services.get('web')!.desired,
    running: () => [...tasks.values()].filter(({ lastStatus }) => lastStatus === 'RUNNING').length,
    mutations: () => simulator.calls.names().filter((call) => !/:(Describe|List)/.test(call)),
  };
  await stage.join(nodes);
  simulator.verbs.createService('demo', { name: 'web', desired: 1, ...service });
  return stage;
}

test('a service grows with its cluster and shrinks with it, one node to spare, never below the minimum', async () => {
  const stage = await openStage(2);
  const size = () => stage.report('--apply', '--min', '2');
  expect(await size()).toMatchObject({ action: 'resized', desired: 1, wanted: 2 });
  await stage.join(5);
  expect(await size()).toMatchObject({ action: 'resized', wanted: 4 });
  await waitFor('four tasks run', () => stage.running() === 4);
  expect(await size()).toMatchObject({ action: 'kept', wanted: 4, instances: { active: 5, connected: 5 } });
  for (const id of stage.nodes.slice(1)) stage.simulator.verbs.terminate(id);
  await waitFor('ECS has noticed', () => stage.simulator.world.clusters.get('demo')!.containerInstances.size === 1);
  // A quarter at a time: 4 → 3 → 2, which is the minimum.
  expect([await size(), await size(), await size()].map(({ wanted }) => wanted)).toEqual([3, 2, 2]);
  expect(stage.mutations()).toEqual(Array.from({ length: 4 }, () => 'ecs:UpdateService'));
});

test('without --apply, nothing changes, and the planned changes are printed', async () => {
  const stage = await openStage(4);
  const { code, stdout } = await stage.run();
  expect(code).toBe(0);
  expect(stdout).toBe(
    'demo/web: 1 → 3 tasks, with --apply; nothing was changed (4 of 4 container instances can take tasks, 0 are leaving, 1 to spare)\n',
  );
  expect(stage.mutations()).toEqual([]);
});

test('external instances do not count: a service on EC2 cannot run there', async () => {
  const stage = await openStage(4);
  const { containerInstances, byInstance } = stage.simulator.world.clusters.get('demo')!;
  const like = byInstance.get(stage.nodes[0]!)!;
  for (const id of ['mi-0123456789abcdef0', 'mi-0123456789abcdef1']) {
    const attributes = new Map([...like.attributes, ['ecs.capability.external', undefined] as const]);
    containerInstances.set(id, { ...like, arn: like.arn.replace(/[^/]+$/, id), instanceId: id, attributes });
  }
  const instances = { registered: 4, active: 4, connected: 4, draining: 0 };
  expect(await stage.report('--apply')).toMatchObject({ action: 'resized', wanted: 3, instances });
});

test('several services are sized in one run, also those after one that is refused', async () => {
  const stage = await openStage(4);
  const { verbs, world } = stage.simulator;
  verbs.createService('demo', { name: 'api', desired: 1 });
  const { code, stdout, stderr } = await stage.run('--service', 'wbe', '--service', 'api', '--apply', '--json');
  expect({ code, told: stderr.includes('service wbe of cluster demo') }).toEqual({ code: 77, told: true });
  expect(JSON.parse(stdout)).toMatchObject([
    { service: 'web', wanted: 3 },
    { service: 'api', wanted: 3 },
  ]);
  const { services } = world.clusters.get('demo')!;
  expect([services.get('web')!.desired, services.get('api')!.desired]).toEqual([3, 3]);
});

describe('a service is left alone', () => {
  test('while a deployment is in progress, and sized when it is complete', async () => {
    const stage = await openStage(4);
    stage.simulator.verbs.beginDeployment('demo', 'web');
    expect(await stage.report('--apply')).toMatchObject({ action: 'waited', reason: 'a deployment is in progress' });
    expect(stage.mutations()).toEqual([]);
    stage.simulator.verbs.endDeployment('demo', 'web');
    expect(await stage.report('--apply')).toMatchObject({ action: 'resized', wanted: 3 });
  });

  test.each([
    ['that Application Auto Scaling sizes', {}, /Application Auto Scaling sizes the service, between 2 and 9 tasks/],
    ['that is a DAEMON', { daemon: true }, /DAEMON/],
    ['that CodeDeploy deploys', { controller: 'CODE_DEPLOY' }, /CODE_DEPLOY/],
  ] as const)('%s: refused, with the reason', async (title, options, reason) => {
    const stage = await openStage(4, options);
    if (title.includes('Auto Scaling')) stage.simulator.verbs.registerScalableTarget('demo', 'web', 2, 9);
    const { code, stderr, stdout } = await stage.run('--apply');
    expect({ code, stdout }).toEqual({ code: 77, stdout: '' });
    expect(stderr).toMatch(reason);
    expect(stage.mutations()).toEqual([]);
  });

  test('when it is being deleted, does not exist, or its cluster does not', async () => {
    const stage = await openStage(2);
    stage.simulator.verbs.retireService('demo', 'web');
    expect(await stage.run('--apply')).toMatchObject({ code: 77, stderr: expect.stringMatching(/DRAINING/) });
    expect(await stage.run('--service', 'wbe')).toMatchObject({
      code: 77,
      stderr: expect.stringMatching(/no such service/),
    });
    expect(await stage.runIn('dmeo')).toMatchObject({
      code: 77,
      stderr: expect.stringMatching(/no cluster dmeo/),
    });
    expect(stage.mutations()).toEqual([]);
  });

  test('when ECS agents lose their connection, one or all of them', async () => {
    const stage = await openStage(4, { desired: 3 });
    stage.simulator.verbs.disconnectEcsAgent(stage.nodes[0]!);
    expect(await stage.report('--apply')).toMatchObject({ action: 'kept', wanted: 3 });
    for (const id of stage.nodes) stage.simulator.verbs.disconnectEcsAgent(id);
    expect(await stage.report('--apply')).toMatchObject({ action: 'waited', wanted: 3 });
    expect(stage.mutations()).toEqual([]);
  });
});

test('a throttled run retries until it knows all of it', async () => {
  const stage = await openStage(4);
  stage.simulator.faults.add({ service: 'ecs', times: 5, effect: { kind: 'throttle' } });
  stage.simulator.faults.add({ service: 'application-autoscaling', times: 3, effect: { kind: 'throttle' } });
  expect(await stage.report('--apply')).toMatchObject({ action: 'resized', wanted: 3 });
  expect(stage.mutations()).toEqual(['ecs:UpdateService']);
});

test('two runs at once set the same count', async () => {
  const stage = await openStage(6);
  const ended = await Promise.all([stage.report('--apply'), stage.report('--apply')]);
  expect(ended.map(({ wanted }) => wanted)).toEqual([5, 5]);
  const counts = stage.simulator.calls.find({ operation: 'UpdateService' }).map(({ params }) => params['desiredCount']);
  expect(new Set(counts)).toEqual(new Set([5]));
  expect(stage.desired()).toBe(5);
});

test('the rights of "ecs-node policy --for service-size" are enough, and without --apply they are read-only', async () => {
  const stage = await openStage(3);
  const [node] = stage.nodes as [string];
  const policy = async (...words: string[]) => {
    const of = ['policy', '--for', 'service-size', '--cluster', 'demo', '--service', 'web', ...words];
    const { stdout } = await execute(of, { PATH: process.env['PATH'], AWS_EC2_METADATA_DISABLED: 'true' });
    return JSON.parse(stdout) as unknown;
  };
  stage.simulator.verbs.setPolicy(node, await policy());
  expect(await stage.runOn(node)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/1 → 2 tasks, with --apply/),
  });
  expect(await stage.runOn(node, '--apply')).toMatchObject({
    code: 77,
    stderr: expect.stringMatching(/ecs:UpdateService on demo\/web is not allowed/),
  });
  expect(stage.desired()).toBe(1);
  stage.simulator.verbs.setPolicy(node, await policy('--apply'));
  expect(await stage.runOn(node, '--apply')).toMatchObject({ code: 0 });
  expect(stage.desired()).toBe(2);
  stage.simulator.verbs.createService('demo', { name: 'other', desired: 1 });
  expect(await stage.runOn(node, '--service', 'other')).toMatchObject({ code: 77 });
});

test('a thousand container instances cost pages and not instances', async () => {
  const stage = await openStage(1);
  const { containerInstances } = stage.simulator.world.clusters.get('demo')!;
  const [[id, some]] = containerInstances as unknown as [[string, { arn: string }]];
  for (let index = 1; index < 1000; index++) {
    const name = String(index).padStart(id.length, '0');
    containerInstances.set(name, { ...some, arn: some.arn.replace(id, name) } as never);
  }
  stage.simulator.calls.clear();
  expect(await stage.report()).toMatchObject({ wanted: 999, instances: { registered: 1000, connected: 1000 } });
  const calls = Map.groupBy(stage.simulator.calls.names(), (name) => name);
  console.log([...calls].map(([name, { length }]) => `${length} × ${name}`).join(', '));
  expect(Object.fromEntries([...calls].map(([name, { length }]) => [name, length]))).toEqual({
    'ecs:DescribeClusters': 1,
    // DRAINING is one page that is empty, ACTIVE ten, ACTIVE and connected ten.
    'ecs:ListContainerInstances': 22,
    'application-autoscaling:DescribeScalableTargets': 1,
    'ecs:DescribeServices': 1,
  });
});

test('all faults on the command line are reported at once, before any call', async () => {
  const stage = await openStage(1);
  const { code, stderr } = await stage.run('--spare', 'one', '--min', '0', '--region', 'Ireland');
  expect(code).toBe(64);
  for (const part of ['--spare must be', '--min must be', '--region must be a region such as eu-west-1']) {
    expect(stderr).toContain(part);
  }
  expect(await stage.run('--min', '5', '--max', '3')).toMatchObject({ code: 64 });
  expect(stage.simulator.calls.names()).toEqual([]);
});
