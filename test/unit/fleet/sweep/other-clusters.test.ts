import { beforeEach, expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { addNode, addNote, group } from '../../../fakes/fleet-nodes.ts';
import { hour, clock, fleet, renewFleet, run, deedsOf, addHealthy, whyOf } from './run.ts';

beforeEach(renewFleet);

const addMissing = (...ids: string[]) => {
  for (const id of ids) {
    addNode(fleet, id, clock.now(), { instance: undefined });
    addNote(fleet, id, 'missing', clock.now() - hour);
  }
};

const lookups = () => fleet.calls.filter((call) => call.startsWith('readOtherClusterOf'));

test('a node of another cluster in the same group is noted, and never terminated', async () => {
  addHealthy(9);
  addNode(fleet, 'i-other', clock.now(), { instance: undefined });
  fleet.elsewhere.set('i-other', 'staging');
  expect(await deedsOf()).toEqual(['note i-other missing']);
  for (let runs = 0; runs < 3; runs++) {
    clock.jump(hour);
    const { findings, unanswered } = await run();
    expect(findings).toMatchObject([{ kind: 'in-another-cluster', instanceId: 'i-other', outcome: 'nothing' }]);
    expect(findings[0]!.why).toMatch(/cluster staging.*ecs-node:cluster/);
    expect(unanswered).toEqual([]);
  }
  expect(fleet.actions()).toEqual(['note i-other missing']);
});

test('nodes of another cluster do not count as ill', async () => {
  addHealthy(6);
  addMissing('i-a', 'i-b', 'i-c', 'i-never');
  for (const id of ['i-a', 'i-b', 'i-c']) fleet.elsewhere.set(id, 'staging');
  expect(await deedsOf()).toEqual(['terminate i-never']);
});

test('a node that appears in another cluster right before the deed stays', async () => {
  addHealthy(9);
  addMissing('i-late');
  fleet.before = (call) => {
    if (call === 'readOtherClusterOf i-late' && lookups().length === 3) fleet.elsewhere.set('i-late', 'staging');
  };
  expect((await run()).findings).toMatchObject([{ kind: 'never-joined', outcome: 'changed' }]);
  expect(lookups()).toHaveLength(3);
  expect(fleet.actions()).toEqual([]);
});

test.each([
  [new Unavailable('ecs:ListClusters: throttled'), /another cluster may have it.*ecs:ListClusters/],
  [
    new Refused('ecs:ListClusters: denied', { code: 'AccessDeniedException' }),
    /needs ecs:ListClusters, and ecs:ListContainerInstances on every cluster/,
  ],
])('a node stays while the other clusters cannot be read: %s', async (error, why) => {
  addHealthy(9);
  addMissing('i-never');
  fleet.before = (call) => {
    if (call.startsWith('readOtherClusterOf')) throw error;
  };
  const report = await run();
  expect(whyOf(report, 'i-never')).toMatch(why);
  expect(report.findings).toMatchObject([{ kind: 'never-joined', outcome: 'nothing' }]);
  expect(report.unanswered).toEqual([{ what: 'other clusters', why: error.message }]);
  fleet.before = (call) => {
    if (call.startsWith('readOtherClusterOf') && lookups().length % 3 === 0) throw error;
  };
  fleet.calls = [];
  expect((await run()).findings).toMatchObject([{ kind: 'never-joined', outcome: 'failed', error: error.message }]);
  expect(fleet.actions()).toEqual([]);
});

test('the first failure ends the search, so that an outage costs a minute and not one for each node', async () => {
  addHealthy(20);
  addMissing('i-a', 'i-b');
  fleet.before = (call) => {
    if (call.startsWith('readOtherClusterOf')) throw new Unavailable('throttled');
  };
  await run();
  expect(lookups()).toHaveLength(1);
});

test('only nodes that the run would terminate are looked for', async () => {
  addHealthy(20);
  addNode(fleet, 'i-new', clock.now(), { instance: undefined });
  addMissing('i-kept');
  fleet.machines.get('i-kept')!.tags['ecs-node:keep'] = '';
  await run();
  expect(lookups()).toEqual([]);
});

test('one run looks for twenty nodes, and in the next hour for others', async () => {
  addHealthy(100);
  const ids = Array.from({ length: 25 }, (_, index) => `i-m${index}`);
  addMissing(...ids);
  for (const id of ids) fleet.elsewhere.set(id, 'staging');
  const seen = new Set<string>();
  for (let runs = 0; runs < 2; runs++) {
    fleet.calls = [];
    const { findings } = await run();
    expect(lookups()).toHaveLength(20);
    expect(findings.filter(({ why }) => /a later run looks for this one/.test(why))).toHaveLength(5);
    for (const call of lookups()) seen.add(call);
    clock.jump(hour);
  }
  expect(seen.size).toBe(25);
  expect(fleet.actions()).toEqual([]);
});

// The owner of one group's tags could end another group's node in one run: a note counted for each
// instance of the cluster.
test('a note on the tags of another group does not count, and is removed', async () => {
  addHealthy(9);
  addNode(fleet, 'i-drained', clock.now(), { instance: { status: 'DRAINING' } });
  const since = clock.now() - 13 * hour;
  const note = { instanceId: 'i-drained', group: 'theirs', kind: 'draining' as const, since, seen: clock.now() };
  const { readGroups } = fleet;
  fleet.readGroups = async (_names, signal) => [
    ...(await readGroups([group], signal)),
    { name: 'theirs', members: [], notes: [note] },
  ];
  const { findings } = await run();
  expect(findings).toContainEqual(
    expect.objectContaining({ kind: 'stale-note', instanceId: 'i-drained', deed: { kind: 'forget', group: 'theirs' } }),
  );
  expect(fleet.actions()).toEqual(['note i-drained draining', 'forget i-drained']);
});
