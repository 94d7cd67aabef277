import { beforeEach, describe, expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { openLog } from '../../../core/log.ts';
import type { SweepOptions, SweepReport } from '../../../fleet/sweep/findings.ts';
import { isUnfinished, sweep } from '../../../fleet/sweep/sweep.ts';
import { openFakeClock, type FakeClock } from '../../fakes/clock.ts';
import {
  addNode,
  addNote,
  addRecord,
  addSecondRecord,
  cluster,
  fakeFleet,
  group,
  type FakeFleet,
} from '../../fakes/fleet-nodes.ts';

const hour = 3_600_000;
const log = openLog(
  () => {},
  () => 0,
);
const { signal } = new AbortController();

const options: SweepOptions = {
  cluster,
  groups: [],
  stack: undefined,
  namePattern: `${cluster} ECS - *`,
  metricsNamespace: 'System/Linux',
  olderThanMs: 2 * hour,
  drainingOlderThanMs: 12 * hour,
  maxNodes: 1,
  apply: true,
};

let clock: FakeClock;
let fleet: FakeFleet;
beforeEach(() => {
  clock = openFakeClock();
  fleet = fakeFleet();
});

function run(more: Partial<SweepOptions> = {}): Promise<SweepReport> {
  return sweep(fleet, { ...options, ...more }, clock, log, signal);
}

/** The deeds of one run. */
async function deedsOf(more: Partial<SweepOptions> = {}): Promise<string[]> {
  fleet.calls = [];
  await run(more);
  return fleet.actions();
}

function addHealthy(count: number): string[] {
  const ids = Array.from({ length: count }, (_, index) => `i-h${index}`);
  for (const id of ids) addNode(fleet, id, clock.now());
  return ids;
}

const whyOf = ({ findings }: SweepReport, id: string) => findings.find(({ instanceId }) => instanceId === id)?.why;

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
    addSecondRecord(fleet, 'i-two', { registeredAt: clock.now() - 9 * hour + hours * hour });
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

describe('a held node', () => {
  test.each([
    ['in Standby', { member: { lifecycleState: 'Standby' } }],
    ['entering Standby', { member: { lifecycleState: 'EnteringStandby' } }],
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

describe('a node without a listed container instance', () => {
  const never = () => {
    addHealthy(9);
    addNode(fleet, 'i-never', clock.now(), { instance: undefined });
    addNote(fleet, 'i-never', 'missing', clock.now() - hour);
  };

  test.each(['other', 'arn:aws:ecs:eu-west-1:123456789012:cluster/other'])(
    'is left alone without a finding when its own tag names %s',
    async (name) => {
      never();
      fleet.machines.get('i-never')!.tags['ecs-node:cluster'] = name;
      expect((await run()).findings).toEqual([]);
      fleet.machines.get('i-never')!.tags['ecs-node:cluster'] = cluster;
      expect(await deedsOf()).toEqual(['terminate i-never']);
    },
  );

  test('stays when its tag names another cluster between the survey and the deed', async () => {
    never();
    fleet.before = (call) => {
      if (call === 'readMachine i-never') fleet.machines.get('i-never')!.tags['ecs-node:cluster'] = 'other';
    };
    expect(await deedsOf()).toEqual([]);
  });

  test('stays when ECS counts more container instances than it lists', async () => {
    never();
    fleet.unlisted = 1;
    expect(whyOf(await run(), 'i-never')).toMatch(/ECS counts 10 container instances and lists 9/);
    expect(fleet.actions()).toEqual([]);
  });

  test.each([new Unavailable('throttled'), new Refused('no', { code: 'AccessDenied' })])(
    'stays when ECS does not report their number: %s',
    async (error) => {
      never();
      fleet.before = (call) => {
        if (call === 'readContainerInstanceCount') throw error;
      };
      const report = await run();
      expect(report.unanswered).toMatchObject([{ what: "ECS's count of container instances" }]);
      expect(fleet.actions()).toEqual([]);
    },
  );
});

describe('nodes outside OpsWorks', () => {
  test('are reported, without a deed, when a stack is given', async () => {
    addHealthy(3);
    for (const id of ['i-h0', 'i-h1']) addRecord(fleet, id, clock.now());
    addNode(fleet, 'i-young', clock.now(), { machine: { launchedAt: clock.now() } });
    addNode(fleet, 'i-kept', clock.now(), { machine: { tags: { 'ecs-node:keep': '' } } });
    addNode(fleet, 'i-warm', clock.now(), { member: { lifecycleState: 'Warmed:Stopped' } });
    const report = await run({ stack: 'stack' });
    expect(report.findings).toMatchObject([{ kind: 'not-in-opsworks', instanceId: 'i-h2', outcome: 'nothing' }]);
    expect((await run()).findings).toEqual([]);
  });

  test('are not reported when OpsWorks is silent', async () => {
    addHealthy(3);
    fleet.before = (call) => {
      if (call === 'readRecords') throw new Unavailable('throttled');
    };
    expect((await run({ stack: 'stack' })).findings).toEqual([]);
  });

  test('keep their termination protection, which OpsWorks did not turn on', async () => {
    addHealthy(3);
    fleet.members.get('i-h1')!.lifecycleState = 'Terminating:Wait';
    for (const id of ['i-h0', 'i-h1']) fleet.protectedIds.add(id);
    expect(await deedsOf()).toEqual([]);
  });
});

describe('a node that never joined', () => {
  test('is noted, and ended by a later run that misses it again', async () => {
    addHealthy(9);
    addNode(fleet, 'i-never', clock.now(), { instance: undefined });
    expect(await deedsOf()).toEqual(['note i-never missing']);
    expect(await deedsOf()).toEqual([]);
    clock.jump(hour);
    expect(await deedsOf()).toEqual(['terminate i-never']);
  });

  test('loses its note when it joins after all', async () => {
    addHealthy(9);
    addNode(fleet, 'i-late', clock.now(), { instance: undefined });
    await run();
    addNode(fleet, 'i-late', clock.now());
    expect(await deedsOf()).toEqual(['forget i-late']);
  });

  test('stays when it joins between the survey and the deed', async () => {
    addHealthy(9);
    addNode(fleet, 'i-late', clock.now(), { instance: undefined });
    await run();
    clock.jump(hour);
    fleet.before = (call) => {
      if (call === 'readMember i-late') addNode(fleet, 'i-late', clock.now(), { machine: {}, member: {} });
    };
    expect(await deedsOf()).toEqual([]);
  });

  test('is left alone when no node of its group has joined, because the cluster may be the wrong one', async () => {
    addNode(fleet, 'i-only', clock.now(), { instance: undefined });
    addNote(fleet, 'i-only', 'missing', 1);
    addNode(fleet, 'i-other', clock.now(), { member: undefined });
    const report = await run({ groups: [group] });
    expect(fleet.actions()).toEqual([]);
    expect(whyOf(report, 'i-only')).toMatch(/none of|is it the right one/);
  });
});

test('a group of another cluster, named by mistake, loses no node', async () => {
  addHealthy(9);
  for (const id of ['i-x', 'i-y']) {
    addNode(fleet, id, clock.now(), { instance: undefined, member: { group: 'other' } });
    fleet.notes.set(id, { instanceId: id, group: 'other', kind: 'missing', since: 1 });
  }
  const report = await run();
  expect(fleet.actions()).toEqual([]);
  expect(whyOf(report, 'i-x')).toMatch(/no member of its group is in this cluster/);
});

describe('a node in a long DRAINING', () => {
  const stuck = (tasks: number) =>
    addNode(fleet, 'i-stuck', clock.now(), { instance: { status: 'DRAINING', runningTasks: tasks } });

  test('is ended after half a day without a task', async () => {
    addHealthy(9);
    stuck(0);
    expect(await deedsOf()).toEqual(['note i-stuck draining']);
    clock.jump(11 * hour);
    expect(await deedsOf()).toEqual([]);
    clock.jump(hour);
    expect(await deedsOf()).toEqual(['terminate i-stuck']);
  });

  test('is left to a person while it has tasks', async () => {
    addHealthy(9);
    stuck(1);
    await run();
    clock.jump(48 * hour);
    expect(await deedsOf()).toEqual([]);
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

describe('remains of ended nodes', () => {
  const gone = { machine: undefined, member: undefined };

  test('include a container instance, deregistered once EC2 reports that its instance is gone', async () => {
    addHealthy(3);
    addNode(fleet, 'i-gone', clock.now(), { ...gone, instance: { agentConnected: false } });
    addNode(fleet, 'i-dead', clock.now(), {
      instance: { agentConnected: false },
      machine: { state: 'terminated' },
      member: undefined,
    });
    expect((await deedsOf()).toSorted()).toEqual(['deregister i-dead', 'deregister i-gone']);
  });

  test.each([
    ['its agent is connected', { instance: { agentConnected: true } }],
    ['it is young', { instance: { agentConnected: false, registeredAt: Date.UTC(2030, 0, 1) - 60_000 } }],
  ])('exclude a container instance that EC2 does not know while %s', async (_title, wish) => {
    addHealthy(3);
    addNode(fleet, 'i-odd', clock.now(), { ...gone, ...wish });
    expect((await run()).findings).toMatchObject([{ outcome: 'nothing' }]);
    expect(fleet.actions()).toEqual([]);
  });

  test('are kept when EC2 knows no instance of the cluster, because the region or account may be wrong', async () => {
    for (const id of ['i-a', 'i-b']) addNode(fleet, id, clock.now(), { ...gone, instance: { agentConnected: false } });
    addRecord(fleet, 'i-a', clock.now(), { status: 'connection_lost' });
    expect(await deedsOf({ stack: 'stack' })).toEqual([]);
  });

  test('include an OpsWorks record, deregistered once its instance is gone, and reported before', async () => {
    addHealthy(3);
    addRecord(fleet, 'i-h0', clock.now());
    addRecord(fleet, 'i-h1', clock.now(), { status: 'setup_failed' });
    addRecord(fleet, 'i-gone', clock.now(), { status: 'connection_lost' });
    addRecord(fleet, 'i-speaks', clock.now(), { status: 'online' });
    addRecord(fleet, 'i-new', clock.now(), { status: 'registered', createdAt: clock.now() });
    addRecord(fleet, 'i-going', clock.now(), { status: 'deregistering' });
    expect(await deedsOf({ stack: 'stack' })).toEqual(['deregister record-of-i-gone']);
    const report = await run({ stack: 'stack' });
    expect(whyOf(report, 'i-h1')).toMatch(/the instance runs/);
    expect(whyOf(report, 'i-speaks')).toMatch(/agent is connected/);
  });

  test('include an OpsWorks record in layers, which is unassigned, and deregistered by a later run', async () => {
    addHealthy(1);
    addRecord(fleet, 'i-h0', clock.now());
    addRecord(fleet, 'i-gone', clock.now(), { status: 'connection_lost' });
    fleet.before = (call) => {
      const assigned = (fleet.records.get('record-of-i-gone')?.layerIds.length ?? 0) > 0;
      if (call.startsWith('deregister ') && assigned) throw new Refused('assigned', { code: 'ValidationException' });
    };
    expect((await run({ stack: 'stack' })).findings).toMatchObject([{ outcome: 'failed' }]);
    expect((await run({ stack: 'stack' })).findings).toMatchObject([{ outcome: 'done' }]);
    expect(fleet.records.has('record-of-i-gone')).toBe(false);
  });

  test('include the Name of an instance that was stopped for a week and is no node any more', async () => {
    addHealthy(3);
    const named = (id: string, state: string, days: number) =>
      addNode(fleet, id, clock.now(), {
        instance: undefined,
        member: undefined,
        machine: { state, launchedAt: clock.now() - days * 24 * hour, tags: { Name: `${cluster} ECS - old` } },
      });
    named('i-stopped', 'stopped', 8);
    named('i-lately', 'stopped', 6);
    named('i-running', 'running', 30);
    named('i-ended', 'terminated', 30);
    named('i-warm', 'stopped', 30);
    fleet.machines.get('i-warm')!.tags['aws:autoscaling:groupName'] = 'pool';
    expect(await deedsOf()).toEqual(['untag i-stopped Name']);
    const found = (await run()).findings.map(({ instanceId }) => instanceId).toSorted();
    expect(found).toEqual(['i-lately', 'i-running']);
  });

  test('exclude the Name of an instance that starts between the survey and the deed', async () => {
    addHealthy(3);
    addNode(fleet, 'i-stopped', clock.now(), {
      instance: undefined,
      member: undefined,
      machine: { state: 'stopped', launchedAt: 0, tags: { Name: `${cluster} ECS - old` } },
    });
    fleet.before = (call) => {
      if (call === 'readMachine i-stopped') fleet.machines.get('i-stopped')!.state = 'running';
    };
    const report = await run();
    expect(report.findings).toMatchObject([{ kind: 'orphaned-name', outcome: 'changed' }]);
    expect(fleet.machines.get('i-stopped')!.tags).toHaveProperty('Name');
  });

  test('exclude every Name while the stack is silent, because its records could name the owner', async () => {
    addHealthy(3);
    addNode(fleet, 'i-stopped', 0, {
      instance: undefined,
      member: undefined,
      machine: { state: 'stopped', tags: { Name: `${cluster} ECS - old` } },
    });
    fleet.before = (call) => {
      if (call === 'readRecords') throw new Unavailable('throttled');
    };
    const report = await run({ stack: 'stack' });
    expect(report).toMatchObject({ findings: [], unanswered: [{ what: 'OpsWorks records' }] });
  });
});

describe('termination protection', () => {
  test('is cleared when OpsWorks turned it on or the group cannot end the node, and reported otherwise', async () => {
    addHealthy(4);
    addRecord(fleet, 'i-h0', clock.now());
    fleet.members.get('i-h1')!.lifecycleState = 'Terminating:Wait';
    for (const id of ['i-h0', 'i-h1', 'i-h2']) fleet.protectedIds.add(id);
    expect((await deedsOf({ stack: 'stack' })).toSorted()).toEqual(['clear i-h0', 'clear i-h1']);
    expect(whyOf(await run({ stack: 'stack' }), 'i-h2')).toMatch(/a person may have turned it on/);
  });

  test('is read for twenty nodes a run, and in turn for all', async () => {
    const ids = addHealthy(50);
    const asked = new Set<string>();
    for (let hours = 0; hours < 5; hours++) {
      fleet.calls = [];
      await run();
      const now = fleet.calls.filter((call) => call.startsWith('readTerminationProtection'));
      expect(now).toHaveLength(20);
      for (const call of now) asked.add(call.split(' ')[1]!);
      clock.jump(hour);
    }
    expect(asked.size).toBe(ids.length);
  });
});

describe('a node that has stopped reporting', () => {
  test('is reported, and left alone, when the others report', async () => {
    const ids = addHealthy(4);
    fleet.reports = ids.slice(1).map((instanceId) => ({ instanceId, usedPercent: 10, at: clock.now() }));
    const report = await run();
    expect(report.findings).toMatchObject([{ kind: 'silent', instanceId: 'i-h0', outcome: 'nothing' }]);
  });

  test('is no finding when most are silent: metrics are off, or CloudWatch is down', async () => {
    const ids = addHealthy(4);
    fleet.reports = ids.slice(3).map((instanceId) => ({ instanceId, usedPercent: 10, at: clock.now() }));
    expect((await run()).findings).toEqual([]);
  });
});

describe('the limits of a sweep', () => {
  const lose = (count: number) => {
    for (let index = 0; index < count; index++) {
      addNode(fleet, `i-lost${index}`, clock.now(), { instance: { agentConnected: false } });
      addNote(fleet, `i-lost${index}`, 'disconnected', clock.now() - 5 * hour);
    }
  };
  const drained = (deeds: string[]) => deeds.filter((deed) => deed.startsWith('drain '));

  test('change nothing without --apply, and report everything', async () => {
    addHealthy(19);
    lose(1);
    addNode(fleet, 'i-never', clock.now(), { instance: undefined });
    const report = await run({ apply: false });
    expect(fleet.actions()).toEqual([]);
    expect(report.findings.map(({ outcome }) => outcome)).toEqual(['would', 'would']);
  });

  test('allow one node in a run by default', async () => {
    addHealthy(50);
    lose(5);
    expect(drained(await deedsOf())).toEqual(['drain i-lost0']);
  });

  test('allow at most a tenth of the nodes, whatever the flag says', async () => {
    addHealthy(25);
    lose(5);
    expect(drained(await deedsOf({ maxNodes: 100 }))).toHaveLength(3);
  });

  test('allow at most a tenth to leave at one time, for whatever reason', async () => {
    addHealthy(18);
    lose(2);
    for (const id of ['i-h0', 'i-h1']) {
      fleet.instances.get(id)!.status = 'DRAINING';
      fleet.members.get(id)!.lifecycleState = 'Terminating:Wait';
    }
    const report = await run({ maxNodes: 100 });
    expect(drained(fleet.actions())).toEqual([]);
    expect(whyOf(report, 'i-lost0')).toMatch(/2 of 20 nodes are leaving already, 2 may at a time/);
  });

  test('allow at most a tenth to be ended in a run, although they already leave', async () => {
    addHealthy(25);
    for (let index = 0; index < 5; index++) {
      addNode(fleet, `i-stuck${index}`, clock.now(), { instance: { status: 'DRAINING', runningTasks: 0 } });
      addNote(fleet, `i-stuck${index}`, 'draining', clock.now() - 13 * hour);
    }
    const ended = (await deedsOf({ maxNodes: 100 })).filter((deed) => deed.startsWith('terminate '));
    expect(ended).toHaveLength(3);
  });

  test('allow none with a limit of 0', async () => {
    addHealthy(9);
    lose(1);
    expect(drained(await deedsOf({ maxNodes: 0 }))).toEqual([]);
  });

  test.each([
    [7, 4, /4 of 11 nodes look ill at once/],
    [0, 1, /none of 1 nodes is well/],
    [2, 2, /2 of 4 nodes look ill at once/],
  ])('with %i well and %i ill nodes blame no node', async (well, ill, why) => {
    addHealthy(well);
    lose(ill);
    const report = await run({ maxNodes: 100 });
    expect(fleet.actions()).toEqual([]);
    expect(report.brake).toMatch(why);
  });

  test('write not even a note when the whole fleet looks ill, because the time must not start', async () => {
    addHealthy(5);
    for (const id of ['i-h0', 'i-h1', 'i-h2']) fleet.instances.get(id)!.agentConnected = false;
    expect(await deedsOf()).toEqual([]);
  });

  test.each(['readContainerInstances', 'readGroups', 'readMachines'])(
    'stop everything when %s gets no answer',
    async (call) => {
      addHealthy(9);
      lose(1);
      addRecord(fleet, 'i-gone', clock.now(), { status: 'connection_lost' });
      fleet.before = (each) => {
        if (each === call) throw new Unavailable('throttled');
      };
      await expect(run({ stack: 'stack' })).rejects.toThrow(Unavailable);
      expect(fleet.actions()).toEqual([]);
    },
  );

  test('keep a record when EC2 knows its instance at the second look', async () => {
    addHealthy(3);
    addNode(fleet, 'i-gone', clock.now(), {
      machine: undefined,
      member: undefined,
      instance: { agentConnected: false },
    });
    fleet.before = (call) => {
      if (call === 'readMachine i-gone') addNode(fleet, 'i-gone', clock.now(), { instance: { agentConnected: false } });
    };
    const report = await run();
    expect(report.findings.find(({ instanceId }) => instanceId === 'i-gone')).toMatchObject({ outcome: 'changed' });
    expect(fleet.actions()).toEqual([]);
  });

  test('continue after a deed that fails, and name it', async () => {
    addHealthy(30);
    lose(3);
    fleet.before = (call) => {
      if (call === 'drain i-lost0') throw new Unavailable('throttled');
    };
    const report = await run({ maxNodes: 2 });
    expect(report.findings.map(({ outcome }) => outcome)).toEqual(['failed', 'done', 'nothing']);
  });

  test('count a node that stays DRAINING because AWS refuses to terminate it', async () => {
    addHealthy(9);
    addNode(fleet, 'i-stuck', clock.now(), { instance: { status: 'DRAINING', runningTasks: 0 } });
    addNote(fleet, 'i-stuck', 'draining', clock.now() - 13 * hour);
    lose(1);
    fleet.before = (call) => {
      if (call === 'terminate i-stuck') throw new Refused('no', { code: 'AccessDenied' });
    };
    const report = await run({ maxNodes: 2 });
    expect(report.findings.find(({ instanceId }) => instanceId === 'i-stuck')).toMatchObject({ outcome: 'failed' });
    expect(whyOf(report, 'i-lost0')).toMatch(/1 of 11 nodes are leaving already, 1 may at a time/);
  });

  test('give the turn of a node that AWS refuses to change to the next one', async () => {
    addHealthy(9);
    lose(2);
    fleet.before = (call) => {
      if (call === 'drain i-lost0') throw new Refused('no', { code: 'InvalidParameterException' });
    };
    const report = await run();
    expect(report.findings.map(({ outcome }) => outcome)).toEqual(['failed', 'done']);
  });

  test('let two sweeps at once end only one node, and the same', async () => {
    addHealthy(9);
    lose(2);
    const reports = await Promise.all([run(), run()]);
    expect(new Set(drained(fleet.actions()))).toEqual(new Set(['drain i-lost0']));
    const others = reports.flatMap(({ findings }) => findings).filter(({ instanceId }) => instanceId === 'i-lost1');
    expect(others.map(({ outcome }) => outcome)).toEqual(['nothing', 'nothing']);
  });

  test('stop the sweep at once between two deeds', async () => {
    addHealthy(30);
    lose(3);
    const ends = new AbortController();
    fleet.before = (call) => {
      if (call === 'drain i-lost0') ends.abort(new Error('stopped'));
    };
    await expect(sweep(fleet, { ...options, maxNodes: 3 }, clock, log, ends.signal)).rejects.toThrow('stopped');
    expect(drained(fleet.actions())).toEqual(['drain i-lost0']);
  });
});

test.each([
  ['nothing to do', [], [], false],
  ['a finding that is done', ['done'], [], false],
  ['a finding that only a person can mend', ['done', 'nothing'], [], true],
  ['an unanswered question', [], ['OpsWorks'], true],
] as const)('a run with %s tells whether it is unfinished', (_title, outcomes, unanswered, expected) => {
  const findings = outcomes.map((outcome) => ({ kind: 'silent', instanceId: 'i-h0', why: '', outcome }) as const);
  expect(isUnfinished({ findings, unanswered: [...unanswered] } as never)).toBe(expected);
});
