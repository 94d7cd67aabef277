import { beforeEach, describe, expect, test } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import type { FleetMachine } from '../../../../core/fleet/fleet-nodes.ts';
import { addNode, addNote, addRecord, group } from '../../../fakes/fleet-nodes.ts';
import { hour, clock, fleet, renewFleet, run, deedsOf, addHealthy, whyOf } from './run.ts';

beforeEach(renewFleet);

describe('a healthy fleet', () => {
  test('is left alone', async () => {
    addHealthy(5);
    const report = await run();
    expect(report).toMatchObject({ findings: [], unanswered: [], nodes: 5, groups: [group] });
    expect(fleet.actions()).toEqual([]);
  });

  test('may have young, warm, standby and leaving nodes', async () => {
    addHealthy(5);
    addNode(fleet, 'i-young', clock.now(), { instance: undefined, machine: { launchedAt: clock.now() - 60_000 } });
    addNode(fleet, 'i-standby', clock.now(), { instance: undefined, member: { lifecycleState: 'Standby' } });
    addNode(fleet, 'i-pending', clock.now(), { instance: undefined, member: { lifecycleState: 'Pending:Wait' } });
    addNode(fleet, 'i-leaving', clock.now(), {
      instance: { status: 'DRAINING' },
      member: { lifecycleState: 'Terminating:Wait' },
    });
    addNode(fleet, 'i-warm', clock.now(), {
      instance: { agentConnected: false },
      machine: { state: 'stopped' },
      member: undefined,
    });
    expect((await run()).findings).toEqual([]);
  });
});

describe('a node whose ECS agent is not connected', () => {
  beforeEach(() => {
    addHealthy(9);
    addNode(fleet, 'i-lost', clock.now(), { instance: { agentConnected: false } });
  });

  test('is noted, drained and ended in three runs, each of which finds it again', async () => {
    expect(await deedsOf()).toEqual(['note i-lost disconnected']);
    clock.jump(hour);
    expect(await deedsOf()).toEqual([]);
    clock.jump(hour);
    expect(await deedsOf()).toEqual(['note i-lost drained', 'drain i-lost']);
    expect(await deedsOf()).toEqual([]);
    clock.jump(hour);
    expect(await deedsOf()).toEqual(['terminate i-lost']);
    expect(await deedsOf()).toEqual([]);
  });

  test('is made ACTIVE again when it comes back after a sweep drained it', async () => {
    await run();
    clock.jump(3 * hour);
    await run();
    fleet.instances.get('i-lost')!.agentConnected = true;
    expect(await deedsOf()).toEqual(['activate i-lost', 'forget i-lost']);
    expect((await run()).findings).toEqual([]);
  });

  test.each([
    ['lost again', () => (fleet.instances.get('i-lost')!.agentConnected = false)],
    ['made ACTIVE by somebody', () => (fleet.instances.get('i-lost')!.status = 'ACTIVE')],
    ['sent away by its group', () => (fleet.members.get('i-lost')!.lifecycleState = 'Terminating:Wait')],
  ])('is left as it is when it has been %s between the survey and the deed', async (_title, change) => {
    await run();
    clock.jump(3 * hour);
    await run();
    fleet.instances.get('i-lost')!.agentConnected = true;
    fleet.before = (call) => {
      if (call === 'readContainerInstancesOf i-lost') change();
    };
    expect(await deedsOf()).toEqual([]);
  });

  test('starts again at its note when it came back in between', async () => {
    await run();
    fleet.instances.get('i-lost')!.agentConnected = true;
    expect(await deedsOf()).toEqual(['forget i-lost']);
    clock.jump(24 * hour);
    fleet.instances.get('i-lost')!.agentConnected = false;
    expect(await deedsOf()).toEqual(['note i-lost disconnected']);
  });

  test.each([
    ['before it would be drained', 1],
    ['before it would be terminated', 2],
  ])('is not touched by a daily sweep that sees it away for a moment, %s', async (_title, runs) => {
    for (let day = 0; day < runs; day++) {
      await run();
      clock.jump(24 * hour);
    }
    clock.schedule(60_000, () => (fleet.instances.get('i-lost')!.agentConnected = true));
    const isDrained = runs === 2;
    // It is made ACTIVE only after some minutes, and it came back within this run.
    if (isDrained) {
      await run();
      clock.jump(23 * hour);
    }
    const report = await run();
    clock.jump(24 * hour);
    expect(whyOf(report, 'i-lost')).toMatch(/well again|connected again/);
    expect(fleet.actions().filter((deed) => /^(drain|terminate) /.test(deed))).toEqual(
      isDrained ? ['drain i-lost'] : [],
    );
    expect(fleet.instances.get('i-lost')).toMatchObject({ status: 'ACTIVE', agentConnected: true });
  });

  test('begins its time anew when it was connected for a moment within the run', async () => {
    await run();
    clock.jump(3 * hour);
    let looks = 0;
    fleet.before = (call) => {
      if (call === 'readContainerInstances') fleet.instances.get('i-lost')!.agentConnected = ++looks === 4;
    };
    expect(await deedsOf()).toEqual(['note i-lost disconnected']);
    clock.jump(hour);
    expect(whyOf(await run(), 'i-lost')).toMatch(/^seen so for 60 min/);
  });

  test('is not drained while ECS does not answer whether it lasts', async () => {
    await run();
    clock.jump(3 * hour);
    let looks = 0;
    fleet.before = (call) => {
      if (call === 'readContainerInstances' && ++looks === 4) throw new Unavailable('throttled');
    };
    const report = await run();
    expect(report.unanswered).toEqual([{ what: 'whether it lasts', why: 'throttled' }]);
    expect(fleet.instances.get('i-lost')!.status).toBe('ACTIVE');
  });

  test('is not drained when it has come back between the survey and the deed', async () => {
    await run();
    clock.jump(3 * hour);
    fleet.before = (call) => {
      if (call.startsWith('readMember ')) fleet.instances.get('i-lost')!.agentConnected = true;
    };
    const report = await run();
    expect(report.findings).toMatchObject([{ instanceId: 'i-lost', deed: { kind: 'drain' }, outcome: 'changed' }]);
    expect(fleet.instances.get('i-lost')!.status).toBe('ACTIVE');
  });

  // A person kept the node, and EC2's answer had none of its tags.
  test.each(['any answer', 'its answer about the one instance'])(
    'is not drained while EC2 names no tag of it in %s',
    async (where) => {
      const tags = { 'aws:autoscaling:groupName': group, ...(where === 'any answer' && { 'ecs-node:keep': '' }) };
      addNode(fleet, 'i-lost', clock.now(), { instance: { agentConnected: false }, machine: { tags } });
      addNote(fleet, 'i-lost', 'disconnected', clock.now() - 3 * hour);
      const bare = (machine: FleetMachine) => ({ ...machine, tags: {} });
      const { readMachine, readMachinesOfGroups } = fleet;
      fleet.readMachine = async (...args) => bare((await readMachine(...args))!);
      if (where === 'any answer')
        fleet.readMachinesOfGroups = async (...args) => (await readMachinesOfGroups(...args)).map(bare);
      await run();
      expect(fleet.actions()).not.toContain('drain i-lost');
      expect(fleet.instances.get('i-lost')!.status).toBe('ACTIVE');
    },
  );

  test.each([
    ['bears the tag ecs-node:keep', { machine: { tags: { 'ecs-node:keep': '', 'aws:autoscaling:groupName': group } } }],
    ['is protected from scale-in', { member: { protectedFromScaleIn: true } }],
    ['is in no group', { member: undefined }],
    ['is in standby', { member: { lifecycleState: 'Standby' } }],
  ])('is reported and left alone while it %s', async (_title, wish) => {
    fleet.members.delete('i-lost');
    addNode(fleet, 'i-lost', clock.now(), { instance: { agentConnected: false }, ...wish });
    expect(await deedsOf()).toEqual([]);
    expect((await run()).findings).toMatchObject([{ instanceId: 'i-lost', outcome: 'nothing' }]);
  });
});

// EC2 answers for a thousand instances of a group at once, and for two hundred by their ids.
test('the machines of named groups are read by group', async () => {
  addHealthy(9);
  await run({ groups: [group] });
  expect(fleet.calls).toContain('readMachinesOfGroups');
  expect(fleet.calls).not.toContain('readMachines');
});

describe('external instances', () => {
  test('are neither changed nor counted, connected or not', async () => {
    addHealthy(9);
    for (const [id, agentConnected] of [
      ['mi-0123456789abcdef0', false],
      ['mi-0123456789abcdef1', true],
      ['x-1', false],
    ] as const) {
      addNode(fleet, id, clock.now(), { machine: undefined, member: undefined, instance: { agentConnected } });
    }
    const report = await run();
    expect(report).toMatchObject({ nodes: 9, external: 3, findings: [] });
    clock.jump(24 * hour);
    expect(await deedsOf()).toEqual([]);
    expect(fleet.calls.filter((call) => /mi-|x-1/.test(call))).toEqual([]);
  });
});

describe('a held node', () => {
  test.each([
    ['in Standby', { member: { lifecycleState: 'Standby' } }],
    ['entering Standby', { member: { lifecycleState: 'EnteringStandby' } }],
    ['leaving its group, alive', { member: { lifecycleState: 'Detaching' } }],
    ['detached by its group', { member: { lifecycleState: 'Detached' } }],
    ['tagged ecs-node:keep', { machine: { tags: { 'ecs-node:keep': '', 'aws:autoscaling:groupName': group } } }],
  ])('is left alone and is no outage: %s', async (_title, wish) => {
    addHealthy(3);
    for (const id of ['i-mine1', 'i-mine2']) {
      addNode(fleet, id, clock.now(), { instance: { agentConnected: false }, ...wish });
      fleet.protectedIds.add(id);
      addRecord(fleet, id, clock.now());
    }
    addNode(fleet, 'i-lost', clock.now(), { instance: { agentConnected: false } });
    addRecord(fleet, 'i-lost', clock.now());
    expect(await deedsOf({ stack: 'stack' })).toEqual(['note i-lost disconnected']);
  });

  test('loses an earlier note, so that the time starts again when it is released', async () => {
    addHealthy(9);
    addNode(fleet, 'i-mine', clock.now(), { instance: { agentConnected: false } });
    await run();
    fleet.members.get('i-mine')!.lifecycleState = 'Standby';
    expect(await deedsOf()).toEqual(['forget i-mine']);
    clock.jump(24 * hour);
    fleet.members.get('i-mine')!.lifecycleState = 'InService';
    expect(await deedsOf()).toEqual(['note i-mine disconnected']);
  });
});

describe('a node in a long DRAINING', () => {
  const stuck = (tasks: number) =>
    addNode(fleet, 'i-stuck', clock.now(), { instance: { status: 'DRAINING', runningTasks: tasks } });

  const isPlaced = (status: string, runningTasks: number) =>
    Object.assign(fleet.instances.get('i-stuck')!, { status, runningTasks });
  const runEachHour = async (runs: number) => {
    for (let done = 0; done < runs; done++) {
      clock.jump(hour);
      expect(await deedsOf()).toEqual(['renew i-stuck draining']);
    }
  };

  test('is ended after half a day without a task', async () => {
    addHealthy(9);
    stuck(0);
    expect(await deedsOf()).toEqual(['note i-stuck draining']);
    await runEachHour(11);
    clock.jump(hour);
    expect(await deedsOf()).toEqual(['terminate i-stuck']);
  });

  // ECS does not say since when, and a person may have drained it minutes before the second run.
  test('is not ended by a daily sweep, which says that no run has looked lately', async () => {
    addHealthy(9);
    stuck(0);
    expect(await deedsOf()).toEqual(['note i-stuck draining']);
    clock.jump(12 * hour);
    isPlaced('ACTIVE', 5);
    clock.jump(11.9 * hour);
    isPlaced('DRAINING', 0);
    clock.jump(hour / 12);
    expect(whyOf(await run(), 'i-stuck')).toMatch(/no run has looked lately/);
    expect(await deedsOf()).toEqual(['renew i-stuck draining']);
  });

  test('is not ended for half a day after the node itself was drained anew', async () => {
    addHealthy(9);
    stuck(0);
    await run();
    await runEachHour(11);
    isPlaced('ACTIVE', 5);
    clock.jump(hour / 2);
    isPlaced('DRAINING', 0);
    fleet.instances.get('i-stuck')!.leavesSince = clock.now();
    await runEachHour(11);
    clock.jump(hour);
    expect(await deedsOf()).toEqual(['terminate i-stuck']);
  });

  test('is ended no earlier for an old time in its own mark', async () => {
    addHealthy(9);
    stuck(0);
    fleet.instances.get('i-stuck')!.leavesSince = clock.now() - 100 * hour;
    await run();
    await runEachHour(11);
    clock.jump(hour);
    expect(await deedsOf()).toEqual(['terminate i-stuck']);
  });

  test('keeps its time while other nodes take the only place of each run', async () => {
    addHealthy(30);
    stuck(0);
    await run();
    await runEachHour(11);
    clock.jump(hour);
    for (let runs = 0; runs < 5; runs++) {
      await run({ maxNodes: 0 });
      clock.jump(hour);
    }
    expect(await deedsOf()).toEqual(['terminate i-stuck']);
  });

  test('begins its time anew when AWS did not take the renewed notes', async () => {
    addHealthy(9);
    stuck(0);
    await run();
    fleet.before = (call) => {
      if (call === 'renew i-stuck draining') throw new Unavailable('throttled');
    };
    await runEachHour(3);
    clock.jump(hour);
    expect(whyOf(await run(), 'i-stuck')).toMatch(/no run has looked lately/);
  });

  test('is left to a person while it has tasks', async () => {
    addHealthy(9);
    stuck(1);
    await run();
    await runEachHour(48);
    expect(whyOf(await run(), 'i-stuck')).toMatch(/1 tasks are still on it/);
  });

  test('loses its note when a person made it ACTIVE', async () => {
    addHealthy(9);
    stuck(0);
    await run();
    fleet.instances.get('i-stuck')!.status = 'ACTIVE';
    expect(await deedsOf()).toEqual(['forget i-stuck']);
  });
});

describe('a node that has stopped reporting', () => {
  test('is reported, and left alone, when the others report', async () => {
    const ids = addHealthy(4);
    fleet.reports = ids.slice(1).map((instanceId) => ({ instanceId, usedPercent: 10, at: clock.now() }));
    const report = await run();
    expect(report.findings).toMatchObject([{ kind: 'silent', instanceId: 'i-h0', outcome: 'nothing' }]);
  });

  test('is no finding while it is young, DRAINING or stopped', async () => {
    const ids = addHealthy(9);
    addNode(fleet, 'i-young', clock.now(), { instance: { registeredAt: clock.now() } });
    addNode(fleet, 'i-drains', clock.now(), { instance: { status: 'DRAINING' } });
    addNode(fleet, 'i-off', clock.now(), { machine: { state: 'stopped' } });
    fleet.reports = ids.map((instanceId) => ({ instanceId, usedPercent: 10, at: clock.now() }));
    expect((await run()).findings.filter(({ kind }) => kind === 'silent')).toEqual([]);
  });

  test('is no finding when most are silent: metrics are off, or CloudWatch is down', async () => {
    const ids = addHealthy(4);
    fleet.reports = ids.slice(3).map((instanceId) => ({ instanceId, usedPercent: 10, at: clock.now() }));
    expect((await run()).findings).toEqual([]);
  });
});
