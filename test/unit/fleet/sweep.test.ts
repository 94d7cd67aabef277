import { beforeEach, describe, expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { openLog } from '../../../core/log.ts';
import type { SweepOptions, SweepReport } from '../../../fleet/sweep/findings.ts';
import { sweep } from '../../../fleet/sweep/sweep.ts';
import { openFakeClock, type FakeClock } from '../../fakes/clock.ts';
import { addNode, addRecord, cluster, fakeFleet, group, type FakeFleet } from '../../fakes/fleet-nodes.ts';

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

/** What was done in a run. */
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
    expect(await deedsOf()).toEqual(['mark i-lost disconnected']);
    clock.jump(hour);
    expect(await deedsOf()).toEqual([]);
    clock.jump(hour);
    expect(await deedsOf()).toEqual(['mark i-lost drained', 'drain i-lost']);
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
    expect(await deedsOf()).toEqual(['activate i-lost', 'unmark i-lost disconnected,draining,drained']);
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
    expect(await deedsOf()).toEqual(['unmark i-lost disconnected']);
    clock.jump(24 * hour);
    fleet.instances.get('i-lost')!.agentConnected = false;
    expect(await deedsOf()).toEqual(['mark i-lost disconnected']);
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
    addNode(fleet, 'i-lost', clock.now(), { instance: { agentConnected: false, marks: { disconnected: 1 } }, ...wish });
    expect(await deedsOf()).toEqual([]);
    expect((await run()).findings).toMatchObject([{ instanceId: 'i-lost', outcome: 'nothing' }]);
  });
});

describe('a node that never joined', () => {
  test('is noted, and ended by a later run that misses it again', async () => {
    addHealthy(9);
    addNode(fleet, 'i-never', clock.now(), { instance: undefined });
    expect(await deedsOf()).toEqual(['tag i-never ecs-node:missing-since']);
    expect(await deedsOf()).toEqual([]);
    clock.jump(hour);
    expect(await deedsOf()).toEqual(['terminate i-never']);
  });

  test('and joins after all has its note removed', async () => {
    addHealthy(9);
    addNode(fleet, 'i-late', clock.now(), { instance: undefined });
    await run();
    const tags = fleet.machines.get('i-late')!.tags;
    fleet.machines.delete('i-late');
    addNode(fleet, 'i-late', clock.now(), { machine: { tags } });
    expect(await deedsOf()).toEqual(['untag i-late ecs-node:missing-since']);
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
    const marked = { tags: { 'ecs-node:missing-since': '1' } };
    addNode(fleet, 'i-only', clock.now(), { instance: undefined, machine: marked });
    addNode(fleet, 'i-other', clock.now(), { member: undefined });
    const report = await run({ groups: [group] });
    expect(fleet.actions()).toEqual([]);
    expect(whyOf(report, 'i-only')).toMatch(/none of|is it the right one/);
  });
});

test('a group of another cluster, named by mistake beside the right one, loses nobody', async () => {
  addHealthy(9);
  const machine = { tags: { 'ecs-node:missing-since': '1' } };
  for (const id of ['i-x', 'i-y'])
    addNode(fleet, id, clock.now(), { instance: undefined, machine, member: { group: 'other' } });
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
    expect(await deedsOf()).toEqual(['mark i-stuck draining']);
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
    expect(await deedsOf()).toEqual(['unmark i-stuck draining']);
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
    expect(whyOf(report, 'i-h1')).toMatch(/the instance lives/);
    expect(whyOf(report, 'i-speaks')).toMatch(/agent still speaks/);
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
    let looks = 0;
    fleet.before = (call) => {
      // The first is the survey's.
      if (call === 'readMachines' && ++looks === 2) fleet.machines.get('i-stopped')!.state = 'running';
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
    expect(whyOf(await run({ stack: 'stack' }), 'i-h2')).toMatch(/somebody may want it/);
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
      const marks = { disconnected: clock.now() - 5 * hour };
      addNode(fleet, `i-lost${index}`, clock.now(), { instance: { agentConnected: false, marks } });
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
    const marks = { draining: clock.now() - 13 * hour };
    for (let index = 0; index < 5; index++) {
      addNode(fleet, `i-stuck${index}`, clock.now(), { instance: { status: 'DRAINING', runningTasks: 0, marks } });
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

  test.each(['readContainerInstances', 'readMembers', 'readMachines'])(
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
    let asked = 0;
    fleet.before = (call) => {
      if (call === 'readMachines' && ++asked === 2)
        addNode(fleet, 'i-gone', clock.now(), { instance: { agentConnected: false } });
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
