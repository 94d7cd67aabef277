import { beforeEach, describe, expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { openLog } from '../../../core/log.ts';
import type { SweepOptions, SweepReport } from '../../../fleet/sweep/findings.ts';
import { sweep } from '../../../fleet/sweep/sweep.ts';
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

describe('a fleet that is well', () => {
  test('is left alone', async () => {
    addHealthy(5);
    const report = await run();
    expect(report).toMatchObject({ findings: [], unanswered: [], nodes: 5, groups: [group] });
    expect(fleet.actions()).toEqual([]);
  });

  test('may have nodes that are young, warm, in standby, or on their way out', async () => {
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

  test('is noted, drained and ended in three runs, each of which finds it so', async () => {
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

  test('that comes back is made ACTIVE again where a sweep had drained it', async () => {
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
  ])('that comes back is left as it is when it has been %s between the look and the deed', async (_title, change) => {
    await run();
    clock.jump(3 * hour);
    await run();
    fleet.instances.get('i-lost')!.agentConnected = true;
    fleet.before = (call) => {
      if (call === 'readContainerInstancesOf i-lost') change();
    };
    expect(await deedsOf()).toEqual([]);
  });

  test('that comes back in between begins anew when it is lost again', async () => {
    await run();
    fleet.instances.get('i-lost')!.agentConnected = true;
    expect(await deedsOf()).toEqual(['forget i-lost']);
    clock.jump(24 * hour);
    fleet.instances.get('i-lost')!.agentConnected = false;
    expect(await deedsOf()).toEqual(['note i-lost disconnected']);
  });

  test('is not drained when it has come back between the look and the deed', async () => {
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
  ])('is told and left alone while it %s', async (_title, wish) => {
    fleet.members.delete('i-lost');
    addNode(fleet, 'i-lost', clock.now(), { instance: { agentConnected: false }, ...wish });
    expect(await deedsOf()).toEqual([]);
    expect((await run()).findings).toMatchObject([{ instanceId: 'i-lost', outcome: 'nothing' }]);
  });
});

describe('an instance with two records in ECS', () => {
  test('loses the stale one, and the lost node of the fleet still goes in its turn', async () => {
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

  test('keeps both while the ECS agent connects to the other one between the look and the deed', async () => {
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

  test('loses both once EC2 says that it does not exist', async () => {
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
  test('are neither looked at nor counted, connected or not', async () => {
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

describe('the dead', () => {
  const dead = (id: string, state: string | undefined, status = 'ACTIVE') =>
    addNode(fleet, id, clock.now(), {
      instance: { agentConnected: false, status, registeredAt: clock.now() },
      machine: state === undefined ? undefined : { state },
      member: undefined,
    });

  test.each(['terminated', 'shutting-down', 'stopping', 'stopped', undefined])(
    'are no outage: with three records of instances that EC2 says %s, a lost node is drained',
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

  test('hold no place among those that leave', async () => {
    addHealthy(3);
    dead('i-d1', 'shutting-down', 'DRAINING');
    dead('i-d2', undefined, 'DRAINING');
    addNode(fleet, 'i-lost', clock.now(), { instance: { agentConnected: false } });
    addNote(fleet, 'i-lost', 'disconnected', clock.now() - 3 * hour);
    expect(await deedsOf()).toContain('drain i-lost');
  });
});

describe('a node that belongs to a person', () => {
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

  test('loses an earlier note, so that the clock begins anew when it is given back', async () => {
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
  test('of version 0.1.0, which nodes can forge, count for nothing and are removed', async () => {
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

  test('from the future are made anew: a clock was wrong', async () => {
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

describe('a node that is not in the list of container instances', () => {
  const never = () => {
    addHealthy(9);
    addNode(fleet, 'i-never', clock.now(), { instance: undefined });
    addNote(fleet, 'i-never', 'missing', clock.now() - hour);
  };

  test.each(['other', 'arn:aws:ecs:eu-west-1:123456789012:cluster/other'])(
    'never joined only this cluster where its own tag names %s: it is left alone and not told',
    async (name) => {
      never();
      fleet.machines.get('i-never')!.tags['ecs-node:cluster'] = name;
      expect((await run()).findings).toEqual([]);
      fleet.machines.get('i-never')!.tags['ecs-node:cluster'] = cluster;
      expect(await deedsOf()).toEqual(['terminate i-never']);
    },
  );

  test('lives when its tag names another cluster between the look and the deed', async () => {
    never();
    fleet.before = (call) => {
      if (call === 'readMachine i-never') fleet.machines.get('i-never')!.tags['ecs-node:cluster'] = 'other';
    };
    expect(await deedsOf()).toEqual([]);
  });

  test('lives where ECS counts more container instances than it lists', async () => {
    never();
    fleet.unlisted = 1;
    expect(whyOf(await run(), 'i-never')).toMatch(/ECS counts 10 container instances and lists 9/);
    expect(fleet.actions()).toEqual([]);
  });

  test.each([new Unavailable('throttled'), new Refused('no', { code: 'AccessDenied' })])(
    'lives where ECS does not say how many there are: %s',
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
  test('are told, without a deed, where a stack is given', async () => {
    addHealthy(3);
    for (const id of ['i-h0', 'i-h1']) addRecord(fleet, id, clock.now());
    addNode(fleet, 'i-young', clock.now(), { machine: { launchedAt: clock.now() } });
    addNode(fleet, 'i-kept', clock.now(), { machine: { tags: { 'ecs-node:keep': '' } } });
    addNode(fleet, 'i-warm', clock.now(), { member: { lifecycleState: 'Warmed:Stopped' } });
    const report = await run({ stack: 'stack' });
    expect(report.findings).toMatchObject([{ kind: 'not-in-opsworks', instanceId: 'i-h2', outcome: 'nothing' }]);
    expect((await run()).findings).toEqual([]);
  });

  test('are not told where OpsWorks did not answer', async () => {
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

  test('and joins after all has its note removed', async () => {
    addHealthy(9);
    addNode(fleet, 'i-late', clock.now(), { instance: undefined });
    await run();
    addNode(fleet, 'i-late', clock.now());
    expect(await deedsOf()).toEqual(['forget i-late']);
  });

  test('and joins between the look and the deed lives', async () => {
    addHealthy(9);
    addNode(fleet, 'i-late', clock.now(), { instance: undefined });
    await run();
    clock.jump(hour);
    fleet.before = (call) => {
      if (call === 'readMember i-late') addNode(fleet, 'i-late', clock.now(), { machine: {}, member: {} });
    };
    expect(await deedsOf()).toEqual([]);
  });

  test('is left alone where no node of its group has joined: the cluster may be the wrong one', async () => {
    addNode(fleet, 'i-only', clock.now(), { instance: undefined });
    addNote(fleet, 'i-only', 'missing', 1);
    addNode(fleet, 'i-other', clock.now(), { member: undefined });
    const report = await run({ groups: [group] });
    expect(fleet.actions()).toEqual([]);
    expect(whyOf(report, 'i-only')).toMatch(/none of|is it the right one/);
  });
});

test('a group of another cluster, named by mistake beside the right one, loses nobody', async () => {
  addHealthy(9);
  for (const id of ['i-x', 'i-y']) {
    addNode(fleet, id, clock.now(), { instance: undefined, member: { group: 'other' } });
    fleet.notes.set(id, { instanceId: id, group: 'other', kind: 'missing', since: 1 });
  }
  const report = await run();
  expect(fleet.actions()).toEqual([]);
  expect(whyOf(report, 'i-x')).toMatch(/no member of its group is in this cluster/);
});

describe('a node that is stuck in DRAINING', () => {
  const stuck = (tasks: number) =>
    addNode(fleet, 'i-stuck', clock.now(), { instance: { status: 'DRAINING', runningTasks: tasks } });

  test('is ended when it has been so for half a day without a task', async () => {
    addHealthy(9);
    stuck(0);
    expect(await deedsOf()).toEqual(['note i-stuck draining']);
    clock.jump(11 * hour);
    expect(await deedsOf()).toEqual([]);
    clock.jump(hour);
    expect(await deedsOf()).toEqual(['terminate i-stuck']);
  });

  test('is left to a person as long as it has tasks', async () => {
    addHealthy(9);
    stuck(1);
    await run();
    clock.jump(48 * hour);
    expect(await deedsOf()).toEqual([]);
    expect(whyOf(await run(), 'i-stuck')).toMatch(/1 tasks are still on it/);
  });

  test('and made ACTIVE by somebody has its note removed', async () => {
    addHealthy(9);
    stuck(0);
    await run();
    fleet.instances.get('i-stuck')!.status = 'ACTIVE';
    expect(await deedsOf()).toEqual(['forget i-stuck']);
  });
});

describe('what nodes have left behind', () => {
  const gone = { machine: undefined, member: undefined };

  test('a container instance is deregistered once EC2 says that its instance is gone', async () => {
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
  ])('a container instance that EC2 does not know is kept while %s', async (_title, wish) => {
    addHealthy(3);
    addNode(fleet, 'i-odd', clock.now(), { ...gone, ...wish });
    expect((await run()).findings).toMatchObject([{ outcome: 'nothing' }]);
    expect(fleet.actions()).toEqual([]);
  });

  test('nothing is deregistered where EC2 knows none of the cluster: it is asked in the wrong place', async () => {
    for (const id of ['i-a', 'i-b']) addNode(fleet, id, clock.now(), { ...gone, instance: { agentConnected: false } });
    addRecord(fleet, 'i-a', clock.now(), { status: 'connection_lost' });
    expect(await deedsOf({ stack: 'stack' })).toEqual([]);
  });

  test('an OpsWorks record is deregistered once its instance is gone, and told while it lives', async () => {
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

  test('an OpsWorks record that must leave its layers first is taken out, and deregistered by a later run', async () => {
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

  test('a Name is removed from an instance that has been stopped for a week and is no node any more', async () => {
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

  test('a Name stays on an instance that is started between the look and the deed', async () => {
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

  test('no Name is judged while the stack does not answer, since its records could tell whose it is', async () => {
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
  test('is cleared where OpsWorks has turned it on or the group cannot end the node, else told', async () => {
    addHealthy(4);
    addRecord(fleet, 'i-h0', clock.now());
    fleet.members.get('i-h1')!.lifecycleState = 'Terminating:Wait';
    for (const id of ['i-h0', 'i-h1', 'i-h2']) fleet.protectedIds.add(id);
    expect((await deedsOf({ stack: 'stack' })).toSorted()).toEqual(['clear i-h0', 'clear i-h1']);
    expect(whyOf(await run({ stack: 'stack' }), 'i-h2')).toMatch(/a person may have turned it on/);
  });

  test('is asked of twenty a run, and in turn of all', async () => {
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
  test('is told, and left alone, where the others do report', async () => {
    const ids = addHealthy(4);
    fleet.reports = ids.slice(1).map((instanceId) => ({ instanceId, usedPercent: 10, at: clock.now() }));
    const report = await run();
    expect(report.findings).toMatchObject([{ kind: 'silent', instanceId: 'i-h0', outcome: 'nothing' }]);
  });

  test('says nothing where most are silent: metrics are off, or CloudWatch is', async () => {
    const ids = addHealthy(4);
    fleet.reports = ids.slice(3).map((instanceId) => ({ instanceId, usedPercent: 10, at: clock.now() }));
    expect((await run()).findings).toEqual([]);
  });
});

describe('what keeps a sweep from doing harm', () => {
  const lose = (count: number) => {
    for (let index = 0; index < count; index++) {
      addNode(fleet, `i-lost${index}`, clock.now(), { instance: { agentConnected: false } });
      addNote(fleet, `i-lost${index}`, 'disconnected', clock.now() - 5 * hour);
    }
  };
  const drained = (deeds: string[]) => deeds.filter((deed) => deed.startsWith('drain '));

  test('without --apply nothing is changed, and everything is said', async () => {
    addHealthy(19);
    lose(1);
    addNode(fleet, 'i-never', clock.now(), { instance: undefined });
    const report = await run({ apply: false });
    expect(fleet.actions()).toEqual([]);
    expect(report.findings.map(({ outcome }) => outcome)).toEqual(['would', 'would']);
  });

  test('no more than one node in a run, by default', async () => {
    addHealthy(50);
    lose(5);
    expect(drained(await deedsOf())).toEqual(['drain i-lost0']);
  });

  test('no more than a tenth of the nodes, whatever was allowed', async () => {
    addHealthy(25);
    lose(5);
    expect(drained(await deedsOf({ maxNodes: 100 }))).toHaveLength(3);
  });

  test('no more than a tenth are leaving at one time, whoever has sent them', async () => {
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

  test('no more than a tenth are ended in a run, although they are leaving already', async () => {
    addHealthy(25);
    for (let index = 0; index < 5; index++) {
      addNode(fleet, `i-stuck${index}`, clock.now(), { instance: { status: 'DRAINING', runningTasks: 0 } });
      addNote(fleet, `i-stuck${index}`, 'draining', clock.now() - 13 * hour);
    }
    const ended = (await deedsOf({ maxNodes: 100 })).filter((deed) => deed.startsWith('terminate '));
    expect(ended).toHaveLength(3);
  });

  test('none with a cap of 0', async () => {
    addHealthy(9);
    lose(1);
    expect(drained(await deedsOf({ maxNodes: 0 }))).toEqual([]);
  });

  test.each([
    [7, 4, /4 of 11 nodes look ill at once/],
    [0, 1, /none of 1 nodes is well/],
    [2, 2, /2 of 4 nodes look ill at once/],
  ])('with %i nodes well and %i ill the fault is not theirs', async (well, ill, why) => {
    addHealthy(well);
    lose(ill);
    const report = await run({ maxNodes: 100 });
    expect(fleet.actions()).toEqual([]);
    expect(report.brake).toMatch(why);
  });

  test('a fleet that looks ill at once is not even noted: the clock must not begin to run', async () => {
    addHealthy(5);
    for (const id of ['i-h0', 'i-h1', 'i-h2']) fleet.instances.get(id)!.agentConnected = false;
    expect(await deedsOf()).toEqual([]);
  });

  test.each(['readContainerInstances', 'readGroups', 'readMachines'])(
    'does nothing at all when %s is not answered',
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

  test('does not deregister what EC2 no longer denies when it is asked again', async () => {
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

  test('goes on after a deed that fails, and tells which', async () => {
    addHealthy(30);
    lose(3);
    fleet.before = (call) => {
      if (call === 'drain i-lost0') throw new Unavailable('throttled');
    };
    const report = await run({ maxNodes: 2 });
    expect(report.findings.map(({ outcome }) => outcome)).toEqual(['failed', 'done', 'nothing']);
  });

  test('gives the place of a node that AWS refuses to change to the next one', async () => {
    addHealthy(9);
    lose(2);
    fleet.before = (call) => {
      if (call === 'drain i-lost0') throw new Refused('no', { code: 'InvalidParameterException' });
    };
    const report = await run();
    expect(report.findings.map(({ outcome }) => outcome)).toEqual(['failed', 'done']);
  });

  test('two sweeps at once end no more than one, and choose the same', async () => {
    addHealthy(9);
    lose(2);
    const reports = await Promise.all([run(), run()]);
    expect(new Set(drained(fleet.actions()))).toEqual(new Set(['drain i-lost0']));
    const others = reports.flatMap(({ findings }) => findings).filter(({ instanceId }) => instanceId === 'i-lost1');
    expect(others.map(({ outcome }) => outcome)).toEqual(['nothing', 'nothing']);
  });

  test('stops at once, between two deeds, when it is told to', async () => {
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
