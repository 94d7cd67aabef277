/** A sweep reads again before each deed, as a person may have taken the node since its survey. */

import { beforeEach, describe, expect, test } from 'vitest';
import { addNode, addNote, cluster } from '../../../fakes/fleet-nodes.ts';
import { hour, clock, fleet, renewFleet, run, options, addHealthy } from './run.ts';

const id = 'i-odd';

const deeds: [string, () => void][] = [
  [
    `drain ${id}`,
    () => {
      addNode(fleet, id, clock.now(), { instance: { agentConnected: false } });
      addNote(fleet, id, 'disconnected', clock.now() - 3 * hour);
    },
  ],
  [
    `activate ${id}`,
    () => {
      addNode(fleet, id, clock.now(), { instance: { status: 'DRAINING' } });
      addNote(fleet, id, 'drained', clock.now() - hour);
    },
  ],
  [
    `terminate ${id}`,
    () => {
      addNode(fleet, id, clock.now(), { instance: { agentConnected: false, status: 'DRAINING' } });
      addNote(fleet, id, 'drained', clock.now() - hour);
    },
  ],
  [
    `terminate ${id}`,
    () => {
      addNode(fleet, id, clock.now(), { instance: undefined });
      addNote(fleet, id, 'missing', clock.now() - 3 * hour);
    },
  ],
  [
    `clear ${id}`,
    () => {
      addNode(fleet, id, clock.now(), { member: { lifecycleState: 'Terminating:Wait' } });
      fleet.protectedIds.add(id);
    },
  ],
  [
    `untag ${id} Name`,
    () => {
      const machine = { state: 'stopped', launchedAt: 0, tags: { Name: `${cluster} ECS - old` } };
      addNode(fleet, id, clock.now(), { instance: undefined, member: undefined, machine });
    },
  ],
];

const changes: [string, () => void][] = [
  ['a person keeps it by its tag', () => (fleet.machines.get(id)!.tags['ecs-node:keep'] = '')],
  [
    'a person puts it in Standby',
    () => fleet.members.set(id, { ...fleet.members.get('i-h0')!, instanceId: id, lifecycleState: 'Standby' }),
  ],
];

describe.each(deeds)('%s', (deed, arrange) => {
  beforeEach(() => {
    renewFleet();
    addHealthy(9);
    arrange();
  });

  const deedsOnIt = () => fleet.actions().filter((each) => each.includes(id) && !/^(note|forget)/.test(each));

  test('is what a sweep does here', async () => {
    await run({ stack: 'stack' });
    expect(deedsOnIt()).toEqual([deed]);
  });

  test.each(changes)('is left out if %s before it', async (_title, change) => {
    fleet.before = (call) => {
      if (call === `readMachine ${id}`) change();
    };
    await run({ stack: 'stack' });
    expect(fleet.calls).toContain(`readMachine ${id}`);
    expect(deedsOnIt()).toEqual([]);
  });
});

// Otherwise the report counts a node in service as ended.
test('a node whose ECS agent connects right before its termination is not ended, and not reported as ended', async () => {
  renewFleet();
  addHealthy(9);
  addNode(fleet, id, clock.now(), { instance: { agentConnected: false, status: 'DRAINING' } });
  addNote(fleet, id, 'drained', clock.now() - hour);
  fleet.before = (call) => {
    if (call === `readMachine ${id}`) fleet.instances.get(id)!.agentConnected = true;
  };
  expect((await run()).findings).toMatchObject([{ instanceId: id, outcome: 'changed' }]);
  expect(fleet.actions()).toEqual([]);
});

test('a sweep looks for as long as it is told, and for no longer', async () => {
  renewFleet();
  addHealthy(9);
  addNode(fleet, id, clock.now(), { instance: { agentConnected: false } });
  addNote(fleet, id, 'disconnected', clock.now() - 3 * hour);
  const began = clock.uptime();
  await run();
  expect(clock.uptime() - began).toBe(options.recheckMs);
});
