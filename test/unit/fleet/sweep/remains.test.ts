import { beforeEach, describe, expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { addNode, addRecord, cluster } from '../../../fakes/fleet-nodes.ts';
import { hour, clock, fleet, renewFleet, run, deedsOf, addHealthy, whyOf } from './run.ts';

beforeEach(renewFleet);

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

  // EC2 was wrong for some seconds, and the ECS agent connected anew: all tasks of the node ended.
  test.each([undefined, 'terminated'])(
    'exclude a container instance and an OpsWorks record of a member of a group (EC2 says %s)',
    async (state) => {
      addHealthy(3);
      addNode(fleet, 'i-lives', clock.now(), {
        instance: { agentConnected: false },
        machine: state === undefined ? undefined : { state },
      });
      addRecord(fleet, 'i-lives', clock.now(), { status: 'connection_lost' });
      const report = await run({ stack: 'stack' });
      expect(fleet.actions()).toEqual([]);
      expect(whyOf(report, 'i-lives')).toMatch(/InService and healthy in its group/);
    },
  );

  test.each([{ healthy: false }, { lifecycleState: 'Terminating:Wait' }])(
    'include a container instance whose group says that it ends (%j)',
    async (member) => {
      addHealthy(3);
      addNode(fleet, 'i-ends', clock.now(), { ...gone, instance: { agentConnected: false }, member });
      expect(await deedsOf()).toEqual(['deregister i-ends']);
    },
  );

  test('exclude what a group takes in between the survey and the deed', async () => {
    addHealthy(3);
    addNode(fleet, 'i-lives', clock.now(), { ...gone, instance: { agentConnected: false } });
    fleet.before = (call) => {
      if (call !== 'readMachine i-lives') return;
      fleet.members.set('i-lives', { ...fleet.members.get('i-h0')!, instanceId: 'i-lives' });
    };
    expect((await run()).findings).toMatchObject([{ kind: 'orphaned-container-instance', outcome: 'changed' }]);
    expect(fleet.actions()).toEqual([]);
  });

  test.each([1, 0])(
    'exclude an instance in no group whose ECS agent connects within the run (%s nodes may end)',
    async (maxNodes) => {
      addHealthy(3);
      addNode(fleet, 'i-lives', clock.now(), { ...gone, instance: { agentConnected: false } });
      let looks = 0;
      fleet.before = (call) => {
        if (call === 'readContainerInstances') fleet.instances.get('i-lives')!.agentConnected = ++looks === 4;
      };
      const report = await run({ maxNodes });
      expect(fleet.actions()).toEqual([]);
      expect(whyOf(report, 'i-lives')).toMatch(/^not seen so at each look of the last 180 s/);
    },
  );

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

  test('exclude an OpsWorks record whose instance a group has, though EC2 calls it gone', async () => {
    addHealthy(3);
    addRecord(fleet, 'i-h0', clock.now());
    addNode(fleet, 'i-lives', clock.now(), { machine: undefined, instance: { agentConnected: false } });
    addRecord(fleet, 'i-lives', clock.now(), { status: 'connection_lost' });
    const { findings } = await run({ stack: 'stack' });
    const record = findings.find(({ kind }) => kind === 'opsworks-record');
    expect(record).toMatchObject({ outcome: 'nothing', why: expect.stringContaining('healthy in its group') });
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

  // The protection of an instance outside a group is that of a person.
  test.each([
    ['is not in its group any more', () => fleet.members.delete('i-h0')],
    ['is not known to EC2 any more', () => fleet.machines.delete('i-h0')],
  ])('stays on an instance that %s when the sweep looks again', async (_title, change) => {
    addHealthy(1);
    addRecord(fleet, 'i-h0', clock.now());
    fleet.protectedIds.add('i-h0');
    fleet.before = (call) => {
      if (call === 'readMachine i-h0') change();
    };
    expect((await run({ stack: 'stack' })).findings).toMatchObject([{ instanceId: 'i-h0', outcome: 'changed' }]);
    expect(fleet.actions()).toEqual([]);
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
