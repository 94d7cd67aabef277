import { expect, test } from 'vitest';
import { renderDiagnosis } from '../../../commands/doctor.ts';
import type { Diagnosis, ExaminedNode } from '../../../commands/doctor/check.ts';
import { checks } from '../../../commands/doctor/checks.ts';
import { Refused } from '../../../core/errors.ts';
import type { Examination, ProbeResult } from '../../../host/aws/examine/examination.ts';
import { someDisk } from '../../fakes/machine.ts';
import { openFakeHost, type World } from '../../fakes/host.ts';
import { plainConfig, signal } from '../bootstrap/stage.ts';

const healthy: Examination = {
  tryAction: async () => ({ kind: 'allowed' }),
  readMetadataOptions: async () => ({ hopLimit: 1, tokensRequired: true, showsTags: false }),
  readClock: async () => undefined,
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
    config: plainConfig(),
    configTroubles: [],
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

test('a healthy node has nothing wrong', async () => {
  const { patient: node } = openExaminedNode();
  for (const { name } of checks) {
    for (const { state, what } of await look(name, node)) expect([name, state, what]).toEqual([name, 'ok', what]);
  }
});

test('without anything to go on every check still says something, and nothing throws', async () => {
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
    "tasks that may reach the node's role",
    'metadata options',
    { readMetadataOptions: async () => ({ hopLimit: 2, tokensRequired: true, showsTags: false }) },
    /^unsure .*hop limit 2.*HttpPutResponseHopLimit: 1/,
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

test('each permission that is missing is named with its feature and the way to mend it', async () => {
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
