import { describe, test, vi } from 'vitest';
import { group, type Stage } from '../scenarios/stage.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { play } from './stage.ts';

vi.setConfig({ testTimeout: 600_000 });

const writing = /^(?!Describe|List|Get)/;

/** The calls of the operator that change something. */
function writes({ simulator }: Stage): string[] {
  const mine = simulator.calls.list.filter(({ instanceId, service }) => instanceId === undefined && service !== 'imds');
  return mine.map(({ operation }) => operation).filter((name) => writing.test(name));
}

describe.concurrent('the acceptance', () => {
  test('says what it will do and what it costs, and changes nothing without --apply', async ({
    expect,
    onTestFinished,
  }) => {
    const { stage, verdicts, printed } = await play({ onTestFinished }, { options: { apply: false } });
    expect(verdicts).toEqual([]);
    expect(printed.join('\n')).toMatch(/desired capacity from 0 to 2[\s\S]*Cost: 2 instances/);
    expect(writes(stage)).toEqual([]);
  });

  test('finds all verdicts good, and puts the group back', async ({ expect, onTestFinished }) => {
    const { stage, verdicts, printed } = await play({ onTestFinished });
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

  test('touches no other node, and plays no refresh beside it', async ({ expect, onTestFinished }) => {
    const { stage, verdicts } = await play(
      { onTestFinished },
      {
        groups: [{ name: group, desired: 1, max: 2 }],
        options: { acts: ['scale-out', 'scale-in', 'refresh'], nodes: 2 },
        hooks: false,
        async before({ simulator: { verbs, world } }) {
          verbs.createCapacityProvider('demo', 'nodes', group);
          await waitFor('at rest', () => [...world.groups.get(group)!.members.values()][0]?.state === 'InService');
        },
      },
    );
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

  test('puts the group back when it is stopped in the middle', async ({ expect, onTestFinished }) => {
    const { stage } = await play({ onTestFinished }, { stopsAt: 'is InService' });
    expect(stage.simulator.world.groups.get(group)?.desired).toBe(0);
  });
});
