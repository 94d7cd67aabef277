import { beforeEach, describe, expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { addNode, addNote, addRecord, cluster, group } from '../../../fakes/fleet-nodes.ts';
import { hour, clock, fleet, renewFleet, run, deedsOf, addHealthy, whyOf } from './run.ts';

beforeEach(renewFleet);

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

  // Its cluster was only in its own configuration: it was noted, and ended in a later run.
  test.each([
    ['other ECS - web-1', undefined],
    ['other-2 ECS - web-1', `${cluster} ECS - *`],
    ['team/other/web-1', `team/${cluster}/*`],
  ])('is only reported when its Name is that of a node of another cluster: %s', async (Name, namePattern) => {
    never();
    const { tags } = fleet.machines.get('i-never')!;
    tags['Name'] = Name;
    const options = namePattern === undefined ? {} : { namePattern };
    for (let runs = 0; runs < 3; runs++) {
      const { findings } = await run(options);
      expect(findings).toMatchObject([{ kind: 'in-another-cluster', instanceId: 'i-never', outcome: 'nothing' }]);
      expect(findings[0]!.why).toMatch(/Name is that of a node of the cluster other/);
      clock.jump(hour);
    }
    expect(fleet.actions()).toEqual([]);
    // A person says where it belongs.
    tags['ecs-node:cluster'] = cluster;
    expect((await run(options)).findings).toMatchObject([{ kind: 'never-joined', outcome: 'done' }]);
  });

  test.each([
    ['no Name', '', `${cluster} ECS - *`],
    ['a Name of this cluster', `${cluster} ECS - web-1`, `${cluster} ECS - *`],
    ['a Name that a wide pattern covers', `${cluster}-web-1`, `${cluster}*`],
    ['a Name of no cluster', 'web-1', `${cluster} ECS - *`],
    ['a pattern without a cluster', 'other ECS - web-1', '* ECS - *'],
  ])('is ended by its group where nothing names another cluster: %s', async (_, Name, namePattern) => {
    never();
    fleet.machines.get('i-never')!.tags['Name'] = Name;
    expect((await run({ namePattern })).findings).toMatchObject([{ kind: 'never-joined', outcome: 'done' }]);
  });

  test('stays when its Name names another cluster between the survey and the deed', async () => {
    never();
    fleet.before = (call) => {
      if (call === 'readMachine i-never') fleet.machines.get('i-never')!.tags['Name'] = 'other ECS - web-1';
    };
    expect(await deedsOf()).toEqual([]);
  });

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
