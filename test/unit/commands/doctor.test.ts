import { describe, expect, test } from 'vitest';
import { renderDiagnosis } from '../../../commands/doctor.ts';
import type { Diagnosis, ExaminedNode } from '../../../commands/doctor/check.ts';
import { checks } from '../../../commands/doctor/checks.ts';
import { Refused } from '../../../core/errors.ts';
import type { LifecycleHook } from '../../../core/host.ts';
import { paths } from '../../../core/state/state.ts';
import type { Examination, GroupFacts, ProbeResult } from '../../../host/aws/examine/examination.ts';
import { someDisk } from '../../fakes/machine.ts';
import { openFakeHost, type World } from '../../fakes/host.ts';
import { plainConfig, signal } from '../bootstrap/stage.ts';

const launchHook: LifecycleHook = {
  name: 'ecs-node-launch',
  transition: 'launch',
  heartbeatSeconds: 1800,
  globalSeconds: 172_800,
  defaultResult: 'ABANDON',
};

const terminateHook: LifecycleHook = {
  name: 'ecs-node-terminate',
  transition: 'terminate',
  heartbeatSeconds: 900,
  globalSeconds: 90_000,
  defaultResult: 'CONTINUE',
};

const healthy: Examination = {
  tryAction: async () => ({ kind: 'allowed' }),
  readMetadataOptions: async () => ({ hopLimit: 1, tokensRequired: true, showsTags: false }),
  readClock: async () => undefined,
  readCredentialsTrouble: async () => undefined,
  readGroup: async () => ({
    name: 'nodes',
    lifecycleState: 'InService',
    hooks: [launchHook, terminateHook],
    hasWarmPool: false,
  }),
  readProvider: async () => ({ group: 'nodes', provider: 'nodes-demo', inside: 'nodes-demo', tasks: 0 }),
  readReach: async () => [{ service: 'ecs', origin: 'https://ecs.us-east-1.amazonaws.com', trouble: undefined }],
};

function openExaminedNode(change: Partial<ExaminedNode> = {}): { patient: ExaminedNode; world: World } {
  const { host, world } = openFakeHost();
  world.joinCluster();
  world.machine.programs.set('/usr/bin/systemctl', () => ({ code: 0, tail: 'enabled\n' }));
  const { machine, metadata, clock, ecsAgent, docker } = host;
  const node = {
    machine,
    metadata,
    clock,
    ecsAgent,
    docker,
    identity: { ...host.identity, role: 'node' },
    identityTrouble: undefined,
    config: plainConfig({
      ecs: { settings: { ECS_AWSVPC_BLOCK_IMDS: 'true' } },
      autoScaling: { launchHook: launchHook.name, launchHookSeconds: 1800, terminateHook: terminateHook.name },
    }),
    configTroubles: [],
    network: { usesProxy: false, hasOnlyHttpProxy: false, exposesPassword: false },
    examination: { ...healthy, readClock: async () => clock.now() - 2_000 },
    ...change,
  };
  return { patient: node, world };
}

/** One volume, as in the ECS-optimized image. */
function fill(world: World, percent: number, inodesPercent: number): void {
  for (const path of ['/', '/var/lib/docker']) world.machine.disks.set(path, someDisk(path, percent, inodesPercent));
}

async function look(name: string, node: ExaminedNode): Promise<Diagnosis[]> {
  const found = checks.find((check) => check.name === name)!;
  return [await found.run(node, signal)].flat();
}

test('a healthy node has no fault', async () => {
  const { patient: node } = openExaminedNode();
  for (const { name } of checks) {
    for (const { state, what } of await look(name, node)) expect([name, state, what]).toEqual([name, 'ok', what]);
  }
});

test('every check gives an answer without any facts, and none throws', async () => {
  const { patient: node } = openExaminedNode({
    identity: undefined,
    identityTrouble: 'no answer',
    config: undefined,
    configTroubles: ['cluster: missing'],
    examination: undefined,
  });
  const states = await Promise.all(checks.map(async ({ name }) => (await look(name, node)).map(({ state }) => state)));
  expect(states.flat()).toContain('wrong');
  expect((await look('configuration', node))[0]).toMatchObject({ state: 'wrong', what: 'cluster: missing' });
});

test.each<[string, string, Partial<Examination>, RegExp]>([
  [
    'version 1 of the metadata service',
    'metadata options',
    { readMetadataOptions: async () => ({ hopLimit: 1, tokensRequired: false, showsTags: false }) },
    /^wrong .*HttpTokens/,
  ],
  [
    'a hop limit that it may not ask for',
    'metadata options',
    { readMetadataOptions: async () => Promise.reject(new Refused('no', { code: 'UnauthorizedOperation' })) },
    /^unsure .*describe-instances/,
  ],
  ['a clock that is off', 'clock', { readClock: async () => 0 }, /^wrong .*ahead of AWS.*chronyd/],
])('finds %s', async (_, name, change, expected) => {
  const { patient: node } = openExaminedNode();
  const [diagnosis] = await look(name, { ...node, examination: { ...node.examination!, ...change } });
  expect(`${diagnosis!.state} ${renderDiagnosis(name, diagnosis!)}`).toMatch(expected);
});

const blocked = { ECS_AWSVPC_BLOCK_IMDS: 'true' };
const bridge = /^unsure .*hop limit 2: tasks in bridge mode may reach this node's role; .*HttpPutResponseHopLimit: 1/;
const awsvpc = /^unsure .*tasks in awsvpc mode may reach this node's role; .*ECS_AWSVPC_BLOCK_IMDS: "true"/;

test.each<[string, number, Record<string, string>, RegExp[]]>([
  ['nothing of a node that keeps out all tasks', 1, blocked, [/^ok .*hop limit 1/]],
  ['tasks in bridge mode', 2, blocked, [bridge]],
  ['tasks in awsvpc mode', 1, {}, [/^ok .*hop limit 1/, awsvpc]],
  ['tasks in either mode', 2, { ECS_AWSVPC_BLOCK_IMDS: 'false' }, [bridge, awsvpc]],
])("warns of tasks that may reach the node's role: %s", async (_, hopLimit, settings, expected) => {
  const readMetadataOptions = async () => ({ hopLimit, tokensRequired: true, showsTags: false });
  const examination = { ...healthy, readMetadataOptions };
  const { patient: node } = openExaminedNode({ config: plainConfig({ ecs: { settings } }), examination });
  const found = await look('metadata options', node);
  expect(found.map((each) => `${each.state} ${renderDiagnosis('metadata options', each)}`)).toEqual(
    expected.map((each) => expect.stringMatching(each)),
  );
});

test('a diagnosis stays on its line, whatever text of others it holds', () => {
  const diagnosis = { state: 'unsure' as const, what: 'x\nok      clock: 0 s', remedy: 'see\u2028above' };
  expect(renderDiagnosis('ECS agent', diagnosis)).toBe(
    String.raw`unsure  ECS agent: x\nok      clock: 0 s; see\u2028above` + '\n',
  );
});

test('each missing permission is named with its feature and the remedy', async () => {
  const verdicts: Record<string, ProbeResult> = {
    'ecs:StopTask': { kind: 'denied', why: 'no' },
    'ec2:CreateTags': { kind: 'unknown', why: 'throttled' },
    'autoscaling:SetInstanceHealth': { kind: 'untried' },
  };
  const { patient: node } = openExaminedNode({
    examination: { ...healthy, tryAction: async (action) => verdicts[action] ?? { kind: 'allowed' } },
  });
  const lines = (await look('permission', node)).map((diagnosis) => renderDiagnosis('permission', diagnosis));
  expect(lines).toContainEqual(
    expect.stringMatching(
      /^WRONG +permission: ecs:StopTask is denied \(needed for stopping tasks.*; to mend: add it to the role node/,
    ),
  );
  expect(lines).toContainEqual(expect.stringMatching(/^unsure +permission: ec2:CreateTags: throttled$/m));
  expect(lines.at(-1)).toMatch(/1 cannot be tried.*simulate-principal-policy.*autoscaling:SetInstanceHealth/);
});

test.each<[string, string, (world: World, node: ExaminedNode) => void, RegExp]>([
  [
    'an ECS agent that is not there',
    'ECS agent',
    (world) => (world.localAgent = undefined),
    /does not listen.*journalctl -u ecs/,
  ],
  [
    'an ECS agent in another cluster',
    'ECS agent',
    (world) => (world.localAgent = { cluster: 'default', version: '1', containerInstanceArn: 'x' }),
    /in the cluster default, not in demo.*\/var\/lib\/ecs\/data/,
  ],
  [
    'an ECS agent that has not registered',
    'ECS agent',
    (world) => (world.localAgent = { cluster: 'demo', version: '1' }),
    /has not registered yet/,
  ],
  [
    'a Docker that does not answer',
    'Docker',
    (world) => (world.docker.state = 'dead'),
    /Docker does not listen.*systemctl status docker/,
  ],
  ['a full disk', 'disk', (world) => fill(world, 95, 10), /95 % of 30 GiB.*docker system df/],
  ['a disk without inodes', 'disk', (world) => fill(world, 20, 99), /99 % of its inodes/],
  [
    'an odd line in a list of images to keep',
    'disk',
    (world) => world.machine.files.set(`${paths.keepImages}/base.list`, 'app:1 app:2\n'),
    /base\.list:1: "app:1 app:2".*one name a line/,
  ],
  [
    'a unit that is disabled',
    'unit',
    (world) => world.machine.programs.set('/usr/bin/systemctl', () => ({ code: 1, tail: 'disabled\n' })),
    /ecs-node-bootstrap\.service is disabled.*systemctl enable ecs-node-bootstrap/,
  ],
  [
    'an instance without a profile',
    'instance profile',
    (_, node) => delete node.identity!.role,
    /there is none.*ecs-node policy/,
  ],
])('finds %s', async (_, name, change, expected) => {
  const { patient: node, world } = openExaminedNode();
  change(world, node);
  const diagnoses = await look(name, node);
  const lines = diagnoses.filter(({ state }) => state === 'wrong').map((diagnosis) => renderDiagnosis(name, diagnosis));
  expect(lines[0]).toMatch(expected);
});

const trouble = { what: 'monitoring.us-east-1.amazonaws.com: getaddrinfo ENOTFOUND', remedy: 'create the endpoint' };

test('an unreachable endpoint is named, and its permissions are not tried one by one', async () => {
  const tried: string[] = [];
  const { patient: node } = openExaminedNode({
    examination: {
      ...healthy,
      tryAction: async (action) => ({ kind: tried.push(action) > 0 ? 'allowed' : 'untried' }),
      readReach: async () => [
        { service: 'ecs', origin: 'https://ecs.us-east-1.amazonaws.com', trouble: undefined },
        { service: 'monitoring', origin: 'https://monitoring.us-east-1.amazonaws.com', trouble },
      ],
    },
  });
  const lines = (await look('network', node)).map((diagnosis) => renderDiagnosis('network', diagnosis));
  expect(lines).toEqual([
    'ok      network: reached: ecs\n',
    `WRONG   network: monitoring is not reached: ${trouble.what}; to mend: create the endpoint\n`,
  ]);
  const permissions = await look('permission', node);
  expect(tried).not.toContain('cloudwatch:PutMetricData');
  expect(permissions).toContainEqual({
    state: 'unsure',
    what: '1 of monitoring were not tried: the node does not reach that service',
  });
});

test.each([
  [{ exposesPassword: true }, /^WRONG .*every user of this machine can read it; to mend: chmod 600/],
  [{ usesProxy: true }, /^unsure .*the ECS agent does not use the proxy/],
  [{ hasOnlyHttpProxy: true }, /^unsure .*HTTP_PROXY is set, but the node calls AWS by https/],
])('a wrong network setting is reported: %j', async (change, told) => {
  const { patient } = openExaminedNode({
    network: { usesProxy: false, hasOnlyHttpProxy: false, exposesPassword: false, ...change },
    examination: { ...healthy, readReach: async () => [{ service: 'monitoring', origin: '', trouble }] },
  });
  const lines = (await look('network', patient)).map((diagnosis) => renderDiagnosis('network', diagnosis));
  expect(lines.at(-1)).toMatch(told);
});

test('a role that EC2 may not assume is reported with the trust policy to write', async () => {
  const { patient: node } = openExaminedNode({
    examination: {
      ...healthy,
      readCredentialsTrouble: async () => 'no credentials: its trust policy does not let EC2',
    },
  });
  const [profile] = await look('instance profile', node);
  expect(renderDiagnosis('instance profile', profile!)).toMatch(/^WRONG .*to mend: .*sts:AssumeRole for the principal/);
  expect(await look('permission', node)).toEqual([{ state: 'unsure', what: 'none tried without credentials' }]);
});

describe('the hooks of the group', () => {
  const own = { launchHook: launchHook.name, terminateHook: terminateHook.name };
  const managed = { ...terminateHook, name: 'ecs-managed-draining-termination-hook' };
  const other = { ...launchHook, name: 'chef', heartbeatSeconds: 600 };

  test.each<[string, object, Partial<GroupFacts>, RegExp]>([
    ['none at all', own, { hooks: [] }, /^unsure .*no launch hook.*put-lifecycle-hook .*LAUNCHING/],
    ['no terminate hook', own, { hooks: [launchHook] }, /^unsure .*no terminate hook: nothing waits for the drain/],
    ['a misspelt one', { ...own, launchHook: 'lunch' }, {}, /^WRONG .*no launch hook lunch, but ecs-node-launch/],
    [
      'one of the other kind',
      { ...own, launchHook: terminateHook.name },
      {},
      /^WRONG .*launchHook names ecs-node-terminate, which is a terminate hook/,
    ],
    [
      'one that nobody completes',
      own,
      { hooks: [launchHook, terminateHook, other] },
      /^unsure .*does not complete the launch hook chef.*waits 600 s.*ends it/,
    ],
    [
      'launchHookSeconds beyond the hook',
      { ...own, launchHookSeconds: 3600 },
      {},
      /^WRONG .*3600, but ecs-node-launch ends after 1800 s.*set autoScaling\.launchHookSeconds: 1800/,
    ],
    [
      'a launch hook that lets anything pass',
      own,
      { hooks: [{ ...launchHook, defaultResult: 'CONTINUE' }, terminateHook] },
      /^unsure .*counts as in service.*ABANDON/,
    ],
    [
      'a drain longer than the hook may last',
      own,
      { hooks: [launchHook, { ...terminateHook, globalSeconds: 600 }] },
      /^WRONG .*draining may take 900 s.*after 600 s/,
    ],
    [
      'a warm pool that the agent does not know of',
      own,
      { hasWarmPool: true },
      /^WRONG .*warm pool.*ECS_WARM_POOLS_CHECK: "true"/,
    ],
  ])('%s', async (_, autoScaling, change, expected) => {
    const { patient: node } = openExaminedNode({
      config: plainConfig({ autoScaling }),
      examination: {
        ...healthy,
        readGroup: async () => ({ ...(await healthy.readGroup(signal))!, ...change }),
      },
    });
    const lines = (await look('lifecycle hooks', node)).map((each) => renderDiagnosis('lifecycle hooks', each));
    expect(
      lines.find((line) => expected.test(line)),
      lines.join(''),
    ).toBeDefined();
  });

  test("include that of ECS's managed draining, which waits for the drain and needs no completion", async () => {
    const { patient: node } = openExaminedNode({
      config: plainConfig({ autoScaling: { launchHook: launchHook.name } }),
      examination: {
        ...healthy,
        readGroup: async () => ({ ...(await healthy.readGroup(signal))!, hooks: [launchHook, managed] }),
      },
    });
    expect((await look('lifecycle hooks', node)).map(({ state }) => state)).toEqual(['ok']);
  });

  test('ECS_WARM_POOLS_CHECK without a warm pool is reported, because it delays each start of the ECS agent', async () => {
    const { patient: node } = openExaminedNode({
      config: plainConfig({ autoScaling: own, ecs: { settings: { ECS_WARM_POOLS_CHECK: 'true' } } }),
    });
    expect((await look('lifecycle hooks', node))[0]!.what).toMatch(/has no warm pool: at each start/);
  });
});

describe('the capacity provider of the group', () => {
  const facts = { group: 'nodes', provider: 'nodes-demo', inside: undefined, tasks: 0 };

  test.each<[string, Partial<Awaited<ReturnType<Examination['readProvider']>>>, RegExp]>([
    ['in it', { inside: 'nodes-demo' }, /^ok .*in nodes-demo/],
    ['there is none', { provider: undefined }, /^ok .*none for the group nodes/],
    ['outside', {}, /^WRONG .*outside nodes-demo.*ecs-node status/],
    ['outside, with tasks', { tasks: 3 }, /^WRONG .*outside nodes-demo.*once its 3 tasks have stopped/],
  ])('%s', async (_, change, expected) => {
    const { patient: node } = openExaminedNode({
      examination: { ...healthy, readProvider: async () => ({ ...facts, ...change }) },
    });
    const [found] = await look('capacity provider', node);
    expect(renderDiagnosis('capacity provider', found!)).toMatch(expected);
  });

  test('is unsure when the role may not read it', async () => {
    const readProvider = async () => {
      throw new Refused('AccessDenied: ecs:DescribeCapacityProviders');
    };
    const { patient: node } = openExaminedNode({ examination: { ...healthy, readProvider } });
    expect(await look('capacity provider', node)).toMatchObject([{ state: 'unsure' }]);
  });
});
