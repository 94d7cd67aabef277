import { beforeEach, describe, expect, test } from 'vitest';
import { addNode, addNote, addSecondRecord, group } from '../../../fakes/fleet-nodes.ts';
import { hour, clock, fleet, renewFleet, run, deedsOf, addHealthy } from './run.ts';

beforeEach(renewFleet);

describe('an instance with two records in ECS', () => {
  test('loses the stale one, and the lost node of the fleet is still treated in its turn', async () => {
    addHealthy(9);
    addSecondRecord(fleet, 'i-h0');
    addNode(fleet, 'i-lost', clock.now(), { instance: { agentConnected: false } });
    expect((await deedsOf()).toSorted()).toEqual(['deregister i-h0 second', 'note i-lost disconnected']);
    clock.jump(3 * hour);
    expect(await deedsOf()).toEqual(['note i-lost drained', 'drain i-lost']);
    clock.jump(hour);
    expect(await deedsOf()).toEqual(['terminate i-lost']);
  });

  test.each([
    ['connected, although it is the older', true, 1],
    ['newest, where neither is connected', false, -1],
  ])('keeps the one that is %s', async (_title, agentConnected, hours) => {
    addHealthy(9);
    addNode(fleet, 'i-two', clock.now(), { instance: { agentConnected, registeredAt: clock.now() - 9 * hour } });
    addSecondRecord(fleet, 'i-two', { registeredAt: clock.now() - 9 * hour + hours * hour, runningTasks: 0 });
    expect(await deedsOf()).toContain('deregister i-two second');
    expect(fleet.instances.has('i-two')).toBe(true);
  });

  test('keeps both while the ECS agent connects to the other one between the survey and the deed', async () => {
    addHealthy(3);
    const second = addSecondRecord(fleet, 'i-h0');
    fleet.before = (call) => {
      if (call !== 'readContainerInstancesOf i-h0') return;
      second.agentConnected = true;
      fleet.instances.get('i-h0')!.agentConnected = false;
    };
    expect((await run()).findings).toMatchObject([{ kind: 'stale-container-instance', outcome: 'changed' }]);
    expect(fleet.actions()).toEqual([]);
  });

  // Its root volume was put back to a snapshot, with the checkpoint of the older record.
  test('keeps an older one with tasks while none is connected, because its ECS agent may use that one', async () => {
    addHealthy(9);
    addNode(fleet, 'i-two', clock.now(), { instance: { agentConnected: false, runningTasks: 0 } });
    const used = addSecondRecord(fleet, 'i-two', { runningTasks: 5 });
    const report = await run();
    expect(report.findings).toContainEqual(
      expect.objectContaining({ subject: used.arn, why: 'no record is connected, and the ECS agent may use this one' }),
    );
    expect(fleet.actions().filter((deed) => deed.startsWith('deregister'))).toEqual([]);
  });

  test('keeps an older one that one look within the run finds connected', async () => {
    addHealthy(9);
    addNode(fleet, 'i-two', clock.now(), { instance: { agentConnected: false } });
    const used = addSecondRecord(fleet, 'i-two', { runningTasks: 0 });
    let looks = 0;
    fleet.before = (call) => {
      if (call === 'readContainerInstances') used.agentConnected = ++looks === 4;
    };
    const { findings } = await run();
    expect(findings.find(({ subject }) => subject === used.arn)?.why).toMatch(/^not seen so at each look/);
    expect(fleet.actions().filter((deed) => deed.startsWith('deregister'))).toEqual([]);
  });

  test('loses both once EC2 reports that it does not exist', async () => {
    addHealthy(3);
    addNode(fleet, 'i-gone', clock.now(), {
      machine: undefined,
      member: undefined,
      instance: { agentConnected: false },
    });
    addSecondRecord(fleet, 'i-gone');
    expect((await deedsOf()).toSorted()).toEqual(['deregister i-gone', 'deregister i-gone second']);
  });
});

describe('records of ended instances', () => {
  const dead = (id: string, state: string | undefined, status = 'ACTIVE') =>
    addNode(fleet, id, clock.now(), {
      instance: { agentConnected: false, status, registeredAt: clock.now() },
      machine: state === undefined ? undefined : { state },
      member: undefined,
    });

  test.each(['terminated', 'shutting-down', 'stopping', 'stopped', undefined])(
    'are no outage: with three records of instances that EC2 reports as %s, a lost node is drained',
    async (state) => {
      addHealthy(3);
      for (const id of ['i-d1', 'i-d2', 'i-d3']) dead(id, state);
      addNode(fleet, 'i-lost', clock.now(), { instance: { agentConnected: false } });
      addNote(fleet, 'i-lost', 'disconnected', clock.now() - 3 * hour);
      const report = await run();
      expect(report).toMatchObject({ nodes: 4 });
      expect(report.brake).toBeUndefined();
      expect(fleet.actions()).toContain('drain i-lost');
    },
  );

  test('take no part of the limit on leaving nodes', async () => {
    addHealthy(3);
    dead('i-d1', 'shutting-down', 'DRAINING');
    dead('i-d2', undefined, 'DRAINING');
    addNode(fleet, 'i-lost', clock.now(), { instance: { agentConnected: false } });
    addNote(fleet, 'i-lost', 'disconnected', clock.now() - 3 * hour);
    expect(await deedsOf()).toContain('drain i-lost');
  });
});

describe('notes', () => {
  test('of version 0.1.0, which nodes can forge, do not count and are removed', async () => {
    addHealthy(9);
    const tags = { 'aws:autoscaling:groupName': group, 'ecs-node:missing-since': '1' };
    addNode(fleet, 'i-never', clock.now(), { instance: undefined, machine: { tags } });
    const oldNotes = ['ecs-node.sweep.disconnected', 'ecs-node.sweep.drained'];
    addNode(fleet, 'i-lost', clock.now(), { instance: { agentConnected: false, oldNotes } });
    expect((await deedsOf({ maxNodes: 9 })).toSorted()).toEqual([
      'note i-lost disconnected',
      'note i-never missing',
      'remove-old i-lost ecs-node.sweep.disconnected,ecs-node.sweep.drained',
      'untag i-never ecs-node:missing-since',
    ]);
  });

  test('count from the last start of the instance, whose ECS agent needs time to connect', async () => {
    addHealthy(9);
    addNode(fleet, 'i-lost', clock.now(), {
      instance: { agentConnected: false },
      machine: { launchedAt: clock.now() - 60_000, tags: { 'aws:autoscaling:groupName': group } },
    });
    addNote(fleet, 'i-lost', 'disconnected', clock.now() - 9 * hour);
    expect(await deedsOf()).toEqual([]);
  });

  test('from the future are written again, because a clock was wrong', async () => {
    addHealthy(9);
    addNode(fleet, 'i-lost', clock.now(), { instance: { agentConnected: false } });
    addNote(fleet, 'i-lost', 'disconnected', clock.now() + 9 * hour);
    expect(await deedsOf()).toEqual(['note i-lost disconnected']);
  });

  test('of an instance that has left its group are removed', async () => {
    addHealthy(3);
    addNote(fleet, 'i-ended', 'drained', clock.now() - hour);
    expect(await deedsOf()).toEqual(['forget i-ended']);
  });

  test('leave room for other tags of the group: twenty at a time', async () => {
    addHealthy(100);
    for (let index = 0; index < 30; index++) {
      addNode(fleet, `i-lost${index}`, clock.now(), { instance: { agentConnected: false } });
    }
    expect(await deedsOf()).toHaveLength(20);
    expect(await deedsOf()).toEqual([]);
  });
});
