import { afterEach, describe, expect, test, vi } from 'vitest';
import type { ActName } from '../../scripts/acceptance/options.ts';
import { group, settings, type Stage } from '../scenarios/stage.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { play, spotGroup, type How, type Played } from './stage.ts';

vi.setConfig({ testTimeout: 600_000 });

const open: Stage[] = [];
afterEach(async () => {
  for (const stage of open.splice(0)) await stage.close();
});

async function run(how: How = {}): Promise<Played> {
  const played = await play(how);
  open.push(played.stage);
  return played;
}

const writing = /^(?!Describe|List|Get)/;

/** The calls of the operator that change something. */
function writes({ simulator }: Stage): string[] {
  const mine = simulator.calls.list.filter(({ instanceId, service }) => instanceId === undefined && service !== 'imds');
  return mine.map(({ operation }) => operation).filter((name) => writing.test(name));
}

describe('the acceptance', () => {
  test('says what it will do and what it costs, and changes nothing without --apply', async () => {
    const { stage, verdicts, printed } = await run({ options: { apply: false } });
    expect(verdicts).toEqual([]);
    expect(printed.join('\n')).toMatch(/desired capacity from 0 to 2[\s\S]*Cost: 2 instances/);
    expect(writes(stage)).toEqual([]);
  });

  test('finds all verdicts good, and puts the group back', async () => {
    const { stage, verdicts, printed } = await run();
    expect(verdicts.filter(({ state }) => state !== 'good')).toEqual([]);
    expect(new Set(verdicts.map(({ act }) => act)).size).toBe(8);
    expect(printed.filter((line) => line.startsWith('not put back'))).toEqual([]);
    const { groups, instances } = stage.simulator.world;
    const { desired, min, max } = groups.get(group)!;
    expect({ desired, min, max }).toEqual({ desired: 0, min: 0, max: 1000 });
    // The group still waits for the hook of the node that EC2 took.
    const isGone = () => [...instances.values()].every(({ state }) => state !== 'running');
    await waitFor('its nodes are gone', isGone, 90_000);
  });

  test('touches no other node, and plays no refresh beside it', async () => {
    const { stage, verdicts } = await run({
      groups: [{ name: group, desired: 1, max: 2 }],
      options: { acts: ['scale-out', 'scale-in', 'refresh'], nodes: 2 },
      hooks: false,
      async before({ simulator: { verbs, world } }) {
        verbs.createCapacityProvider('demo', 'nodes', group);
        await waitFor('at rest', () => [...world.groups.get(group)!.members.values()][0]?.state === 'InService');
      },
    });
    expect(verdicts.find(({ act }) => act === 'refresh')?.state).toBe('skipped');
    const [first] = stage.nodes;
    const { simulator } = stage;
    const named = simulator.calls.list.filter(
      ({ instanceId, operation, params }) =>
        instanceId === undefined && writing.test(operation) && JSON.stringify(params).includes(first!.id),
    );
    expect(named).toEqual([]);
    const { desired, min, max } = simulator.world.groups.get(group)!;
    expect({ desired, min, max }).toEqual({ desired: 1, min: 0, max: 2 });
    expect(simulator.world.instances.get(first!.id)?.state).toBe('running');
  });

  test('puts the group back when it is stopped in the middle', async () => {
    const { stage } = await run({ stopsAt: 'is InService' });
    expect(stage.simulator.world.groups.get(group)?.desired).toBe(0);
  });
});

const deny = (...actions: string[]) => ({
  Statement: [
    { Effect: 'Allow', Action: '*', Resource: '*' },
    { Effect: 'Deny', Action: actions, Resource: '*' },
  ],
});

/** The nodes' role lacks these permissions. */
const denied = (...actions: string[]): How => ({
  groups: [{ ...spotGroup, template: { purchase: 'spot', policy: deny(...actions) } }],
});

/** The cluster loses its provider before the node registers. */
function withoutProvider({ simulator: { verbs, world } }: Stage): void {
  verbs.createCapacityProvider('demo', 'nodes', group);
  world.listeners.add(({ kind }) => {
    if (kind === 'instance') world.clusters.get('demo')!.capacityProviders.splice(0);
  });
}

/** The fault of the node, and the verdict that must turn bad. */
const faults: [string, ActName, RegExp, How][] = [
  ['never registers', 'scale-out', /is ACTIVE/, { boots: false }],
  ['publishes nothing', 'scale-out', /publishes metrics/, denied('cloudwatch:PutMetricData')],
  ['has no name', 'scale-out', /Name tag/, denied('ec2:CreateTags')],
  ['is outside its capacity provider', 'scale-out', /capacity provider/, { before: withoutProvider }],
  [
    'completes a hook that its group lacks',
    'doctor',
    /finds nothing wrong/,
    { flags: settings({ 'autoScaling.terminateHook': 'other' }) },
  ],
  ['may not drain', 'leave-stay', /takes the order to leave|is DRAINING/, denied('ecs:UpdateContainerInstancesState')],
  ['does not see its disk', 'disk', /DRAINING while it is full/, { flags: settings({ 'disk.fullPercent': 99 }) }],
  ['is not started again', 'agent', /starts it again/, { restartsAgent: false }],
  ['only logs a spot notice', 'spot', /is DRAINING before/, { flags: settings({ 'spot.action': 'log' }) }],
  [
    'does not wait for its tasks',
    'scale-in',
    /waits until the task has stopped/,
    {
      flags: settings({ 'leave.drainSeconds': 10, 'leave.atDeadline': 'leave-tasks' }),
      settings: { ecs: { stoppingMs: 40_000 }, ssm: { onlineAfterMs: 500 } },
      options: { waitMs: 90_000 },
    },
  ],
];

describe('a node that', () => {
  test.each(faults)('%s turns the verdict of %s bad: %s', async (_, act, check, how) => {
    const options = { acts: [...new Set<ActName>(['scale-out', act])], nodes: 1, waitMs: 15_000, pollMs: 200 };
    const { verdicts } = await run({ ...how, options: { ...options, ...how.options } });
    const bad = verdicts.filter(({ state }) => state === 'BAD');
    expect(bad.find((verdict) => verdict.act === act && check.test(verdict.check))).toBeDefined();
  });
});
