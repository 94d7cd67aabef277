import { execFileSync } from 'node:child_process';
import { describe, expect, inject, test } from 'vitest';
import type { SweepReport } from '../../../fleet/sweep/findings.ts';
import { findingsOf, group, hour, openFleet, stackId, type FleetStage } from './fleet-stage.ts';
import { waitFor } from '../../../simulator/wait-for.ts';

/** A second is as good as three minutes where nothing changes meanwhile. */
const sweepDemo = ['sweep', '--cluster', 'demo', '--recheck', '1'];
const words = [...sweepDemo, '--opsworks-stack', stackId, '--json'];

const gone = 'i-00000000000000bad';

/** One node in each bad state, among nine that are well. */
async function openTroubled() {
  const stage = await openFleet(16);
  const { simulator, nodes } = stage;
  const { world, verbs } = simulator;
  const [lost = '', stuck = '', never = '', guarded = '', dead = '', setup = ''] = nodes;
  verbs.disconnectEcsAgent(lost);
  stage.note(lost, 'disconnected', 3 * hour);
  stage.instance(stuck).status = 'DRAINING';
  stage.note(stuck, 'draining', 13 * hour);
  const missing = stage.instance(never);
  world.clusters.get('demo')!.containerInstances.delete(missing.arn.split('/').at(-1)!);
  world.clusters.get('demo')!.byInstance.delete(never);
  stage.note(never, 'missing', hour);
  verbs.protect(guarded);
  stage.register(guarded);
  verbs.disconnectEcsAgent(dead);
  verbs.terminate(dead);
  stage.register(dead, 'connection_lost');
  stage.register(setup, 'setup_failed');
  stage.register(gone, 'connection_lost');
  const outside = nodes.at(-1)!;
  const online = nodes.filter((id) => ![guarded, dead, setup, outside].includes(id));
  for (const id of online) stage.register(id);
  const second = stage.addRecord(online.at(-1)!);
  stage.addRecord('mi-0123456789abcdef0');
  const stray = await verbs.launch({ tags: { Name: 'demo ECS - stray' } });
  await waitFor('terminated', () => world.instances.get(dead)!.state === 'terminated');
  simulator.calls.clear();
  return { ...stage, lost, stuck, never, guarded, dead, setup, outside, second, stray: stray.id };
}

describe('a fleet with a node in each bad state', () => {
  test('is reported node by node, with nothing changed, by a sweep without --apply', async () => {
    const stage = await openTroubled();
    const { lost, stuck, never, guarded, dead, setup, outside, second, stray } = stage;
    const told = await stage.ask(...words, '--max', '9');
    expect({ code: told.code, stderr: told.stderr }).toEqual({ code: 1, stderr: '' });
    const { findings } = JSON.parse(told.stdout) as { findings: Record<string, unknown>[] };
    const seen = findings.map(
      ({ kind, instanceId, outcome }) => `${kind as string} ${instanceId as string} ${outcome as string}`,
    );
    // A tenth of sixteen is one node at a time; the stuck one is on its way out already.
    expect(seen.toSorted()).toEqual(
      [
        `disconnected ${lost} nothing`,
        `stuck-draining ${stuck} would`,
        `never-joined ${never} nothing`,
        `termination-protection ${guarded} would`,
        `orphaned-container-instance ${dead} would`,
        `opsworks-record ${dead} would`,
        `opsworks-record ${gone} would`,
        `opsworks-record ${setup} nothing`,
        `orphaned-name ${stray} nothing`,
        `stale-container-instance ${second.instanceId} would`,
        `not-in-opsworks ${outside} nothing`,
      ].toSorted(),
    );
    expect(findings.every(({ why, evidence }) => why !== '' && evidence !== '')).toBe(true);
    expect(stage.mutations()).toEqual([]);
    const table = await stage.ask(...words.filter((word) => word !== '--json'));
    expect(table.stdout).toMatch(/nothing was changed[^]*FINDING +INSTANCE +SINCE +EVIDENCE +DEED +WHY/);
  });

  test('is repaired by --apply, run by run, and then left alone', async () => {
    const stage = await openTroubled();
    const { simulator, lost, stuck, never, guarded, dead, second } = stage;
    const { world } = simulator;
    const { containerInstances } = world.clusters.get('demo')!;
    const isEnded = (id: string) => world.instances.get(id)!.state === 'terminated';
    for (let runs = 0; runs < 3 || (runs < 6 && ![never, stuck].every(isEnded)); runs++) {
      const { code, stderr } = await stage.ask(...words, '--apply');
      expect(stderr).not.toMatch(/"level":"(warn|error)"/);
      expect(code).toBe(0);
      await waitFor('ended', () => isQuiet(stage));
    }
    expect(world.instances.get(guarded)!.disableApiTermination).toBe(false);
    const records = [...containerInstances.values()];
    expect(records.filter(({ instanceId }) => instanceId === second.instanceId)).toHaveLength(1);
    expect(records.some(({ instanceId }) => instanceId.startsWith('mi-'))).toBe(true);
    await waitFor('records gone', () =>
      [...world.registrations.values()].every(({ instanceId }) => instanceId !== dead),
    );
    expect([...world.registrations.values()].some(({ instanceId }) => instanceId === gone)).toBe(false);
    expect(world.clusters.get('demo')!.byInstance.has(dead)).toBe(false);
    for (const id of [never, stuck]) expect(world.instances.get(id)!.state).toBe('terminated');
    const ended = simulator.calls.find({ operation: 'TerminateInstanceInAutoScalingGroup' });
    expect(ended.map(({ params }) => params['ShouldDecrementDesiredCapacity'])).toEqual(['false', 'false']);
    expect(stage.instance(lost).status).toBe('DRAINING');
    stage.note(lost, 'drained', hour);
    await stage.ask(...words, '--apply');
    await waitFor('ended', () => isQuiet(stage) && world.instances.get(lost)!.state === 'terminated');
    // ECS keeps a container instance that was not connected at its end.
    const last = await stage.ask(...words, '--apply');
    const orphaned = { kind: 'orphaned-container-instance', instanceId: lost, outcome: 'done' };
    expect((JSON.parse(last.stdout) as SweepReport).findings).toContainEqual(expect.objectContaining(orphaned));
    // The group may list the node as a member for a moment longer. Its note is removed a run later.
    for (let runs = 0; runs === 0 || (runs < 4 && stage.mutations().length > 0); runs++) {
      simulator.calls.clear();
      await stage.ask(...words, '--apply');
    }
    expect(stage.mutations()).toEqual([]);
  });

  test('is repaired with the rights of "ecs-node policy --for sweep --apply"', async () => {
    const stage = await openTroubled();
    const { simulator } = stage;
    const flags = ['--for', 'sweep', '--cluster', 'demo', '--apply'];
    const env = { ...simulator.operatorEnvironment(), AWS_EC2_METADATA_DISABLED: 'true' };
    const policy: unknown = JSON.parse(execFileSync(inject('binary'), ['policy', ...flags], { encoding: 'utf8', env }));
    const bastion = await simulator.verbs.launch({ policy });
    const ended = await stage.run(simulator.environmentFor(bastion.id), ...words, '--apply');
    expect({ code: ended.code, failed: ended.stdout.match(/"failed"/g) }).toEqual({ code: 0, failed: null });
    expect(simulator.calls.find({ instanceId: bastion.id, outcome: 'ok' }).length).toBeGreaterThan(20);
  });
});

test('a node of the group that joined another cluster is only reported, run after run', async () => {
  const stage = await openFleet(10, { clusters: ['demo', 'other'] });
  const { simulator, nodes } = stage;
  const [moved = ''] = nodes;
  const { clusters } = simulator.world;
  const { containerInstances, byInstance } = clusters.get('demo')!;
  const { arn } = stage.instance(moved);
  simulator.verbs.stopEcsAgent(moved);
  containerInstances.delete(arn.split('/').at(-1)!);
  byInstance.delete(moved);
  simulator.verbs.startEcsAgent(moved, 'other');
  await waitFor('registered', () => clusters.get('other')!.byInstance.has(moved));
  stage.note(moved, 'missing', hour);
  simulator.calls.clear();
  for (let runs = 0; runs < 2; runs++) {
    const ended = await stage.ask(...sweepDemo, '--apply', '--json');
    expect({ code: ended.code, found: findingsOf(ended) }).toEqual({
      code: 0,
      found: { [moved]: 'in-another-cluster: nothing' },
    });
  }
  expect(stage.mutations()).toEqual([]);
  expect(stage.lifecycle(moved)).toBe('InService');
});

/** True when no node is being terminated any more: hooks have run, and the machines are off. */
function isQuiet({ simulator }: FleetStage): boolean {
  const members = [...simulator.world.groups.get(group)!.members.values()];
  return members.every(({ state }) => !state.startsWith('Terminating'));
}

test('notes that a node forged for another one do not end it: the sweep begins with its own note', async () => {
  const stage = await openFleet(10);
  const { simulator, nodes } = stage;
  const [lost = '', never = ''] = nodes;
  const old = String(Date.now() - 9 * hour);
  simulator.verbs.disconnectEcsAgent(lost);
  stage.instance(lost).attributes.set('ecs-node.sweep.disconnected', old);
  stage.instance(lost).attributes.set('ecs-node.sweep.drained', old);
  const { containerInstances, byInstance } = simulator.world.clusters.get('demo')!;
  containerInstances.delete(stage.instance(never).arn.split('/').at(-1)!);
  byInstance.delete(never);
  simulator.world.instances.get(never)!.tags.set('ecs-node:missing-since', old);
  const { code } = await stage.ask(...sweepDemo, '--apply', '--max', '9');
  expect({ code, status: stage.instance(lost).status }).toEqual({ code: 0, status: 'ACTIVE' });
  expect(stage.lifecycle(never)).toBe('InService');
  expect(stage.noteOf(lost)).toMatch(/^disconnected since 20/);
  expect(stage.noteOf(never)).toMatch(/^missing since 20/);
  expect([...stage.instance(lost).attributes.keys()].filter((name) => name.startsWith('ecs-node.'))).toEqual([]);
});

describe('a sweep in trouble', () => {
  const drained = ({ simulator }: FleetStage) =>
    simulator.calls
      .find({ operation: 'UpdateContainerInstancesState', outcome: 'ok' })
      .map(({ params }) => params['status']);

  async function openLost(count: number, lost: number): Promise<FleetStage & { lost: string[] }> {
    const stage = await openFleet(count);
    const ids = stage.nodes.slice(0, lost);
    for (const id of ids) {
      stage.simulator.verbs.disconnectEcsAgent(id);
      stage.note(id, 'disconnected', 3 * hour);
    }
    stage.simulator.calls.clear();
    return { ...stage, lost: ids };
  }

  test('retries when it is throttled, and does the same', async () => {
    const stage = await openLost(10, 1);
    for (const operation of ['DescribeContainerInstances', 'DescribeInstances', 'UpdateContainerInstancesState']) {
      // The SDK tries twice by itself: the third try is ours.
      stage.simulator.faults.add({ operation, times: 2, effect: { kind: 'throttle' } });
    }
    const ended = await stage.ask(...sweepDemo, '--apply', '--json');
    expect({ code: ended.code, ...findingsOf(ended) }).toEqual({ code: 0, [stage.lost[0]!]: 'disconnected: done' });
  });

  test('changes nothing when EC2 refuses to answer', async () => {
    const stage = await openLost(10, 1);
    const effect = { kind: 'error', code: 'UnauthorizedOperation', status: 403 } as const;
    stage.simulator.faults.add({ service: 'ec2', operation: 'DescribeInstances', effect });
    const ended = await stage.ask(...sweepDemo, '--apply');
    expect({ code: ended.code, stdout: ended.stdout, did: stage.mutations() }).toEqual({
      code: 77,
      stdout: '',
      did: [],
    });
    expect(ended.stderr).toContain('ec2:DescribeInstances');
  });

  test('names the silent service, concludes nothing from it, and exits with 75', async () => {
    const stage = await openLost(10, 1);
    const effect = { kind: 'error', code: 'AccessDeniedException', status: 400 } as const;
    stage.simulator.faults.add({ service: 'opsworks', effect });
    const ended = await stage.ask(...words);
    expect(ended.code).toBe(75);
    expect(JSON.parse(ended.stdout)).toMatchObject({ unanswered: [{ what: 'OpsWorks records' }] });
  });

  test('run twice at once drains only one node', async () => {
    const stage = await openLost(12, 3);
    const both = [...sweepDemo, '--apply', '--json'];
    const ended = await Promise.all([stage.ask(...both), stage.ask(...both)]);
    expect(ended.map(({ code }) => code)).toEqual([0, 0]);
    const draining = stage.nodes.filter((id) => stage.instance(id).status === 'DRAINING');
    expect(draining).toEqual([stage.lost.toSorted()[0]]);
    expect(drained(stage).every((status) => status === 'DRAINING')).toBe(true);
  });

  test('leaves a whole zone alone, because the fault is not of the nodes', async () => {
    const stage = await openLost(12, 4);
    const ended = await stage.ask(...sweepDemo, '--apply');
    expect(ended.stdout).toContain('no node is touched: 4 of 12 nodes look ill at once');
    expect(stage.mutations()).toEqual([]);
  });

  test('does not judge the records of a stack in another region, whose instances EC2 cannot know here', async () => {
    const stack = { id: stackId, name: 'far', region: 'us-west-2', layers: [] };
    const stage = await openFleet(3, { stacks: [stack] });
    stage.register(gone, 'connection_lost');
    const ended = await stage.ask(...words, '--apply');
    expect(ended.code).toBe(75);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      unanswered: [{ why: expect.stringContaining('is of us-west-2') }],
    });
    expect(stage.mutations()).toEqual([]);
  });
});
