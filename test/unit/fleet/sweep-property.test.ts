import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { noteKinds, type NoteKind } from '../../../core/fleet/fleet-nodes.ts';
import { openLog } from '../../../core/log.ts';
import { maxLeavingAtOnce } from '../../../fleet/sweep/plan.ts';
import { sweep } from '../../../fleet/sweep/sweep.ts';
import { separateRecords } from '../../../fleet/survey.ts';
import { openFakeClock } from '../../fakes/clock.ts';
import {
  addNode,
  addNote,
  addRecord,
  addSecondRecord,
  cluster,
  fakeFleet,
  group,
  type FakeFleet,
  type NodeOverrides,
} from '../../fakes/fleet-nodes.ts';

const hour = 3_600_000;
const log = openLog(
  () => {},
  () => 0,
);
const { signal } = new AbortController();

const age = fc.integer({ min: 0, max: 100 * hour });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

interface Drawn {
  status: string;
  agentConnected: boolean;
  runningTasks: number;
  registered: number;
  note: { kind: NoteKind; ago: number } | undefined;
  forged: number | undefined;
  second: { agentConnected: boolean; registered: number } | undefined;
  cluster: string | undefined;
  external: boolean;
  state: string;
  launched: number;
  kept: boolean;
  lifecycleState: string;
  protectedFromScaleIn: boolean;
  terminationProtection: boolean;
  sides: { instance: boolean; machine: boolean; member: boolean };
  record: { status: string; created: number } | undefined;
}

const often = <T>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 2, arbitrary: fc.constantFrom(...others) });
const mostly = fc.oneof({ weight: 9, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) });

const rarely = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });

const drawnNode: fc.Arbitrary<Drawn> = fc.record({
  status: often('ACTIVE', 'DRAINING', 'REGISTERING', 'DEREGISTERING', 'NEW-WORD'),
  agentConnected: mostly,
  runningTasks: fc.integer({ min: 0, max: 2 }),
  registered: age,
  note: optional(fc.record({ kind: fc.constantFrom(...noteKinds), ago: age })),
  forged: optional(age),
  second: rarely(fc.record({ agentConnected: mostly.map((value) => !value), registered: age })),
  cluster: fc.constantFrom(undefined, undefined, cluster, 'other'),
  external: mostly.map((value) => !value),
  state: often('running', 'pending', 'shutting-down', 'terminated', 'stopping', 'stopped', 'new-word'),
  launched: age,
  kept: fc.boolean(),
  lifecycleState: often(
    'InService',
    'Pending:Wait',
    'Terminating:Wait',
    'Standby',
    'Detached',
    'Warmed:Stopped',
    'NewWord',
  ),
  protectedFromScaleIn: mostly.map((value) => !value),
  terminationProtection: mostly.map((value) => !value),
  sides: fc.record({ instance: mostly, machine: mostly, member: mostly }),
  record: optional(
    fc.record({ status: often('online', 'connection_lost', 'deregistering', 'registering'), created: age }),
  ),
});

const drawnFleet = fc.array(drawnNode, { minLength: 1, maxLength: 40 });

function build(nodes: readonly Drawn[], now: number): FakeFleet {
  const fleet = fakeFleet();
  nodes.forEach((node, index) =>
    addDrawn(fleet, `${node.external ? 'mi' : 'i'}-${String(index).padStart(2, '0')}`, node, now),
  );
  return fleet;
}

function addDrawn(fleet: FakeFleet, id: string, node: Drawn, now: number): void {
  const { sides, note, record, second } = node;
  const { status, agentConnected, runningTasks, lifecycleState, protectedFromScaleIn, state } = node;
  const tags: Record<string, string> = { 'aws:autoscaling:groupName': group, Name: `${cluster} ECS - ${id}` };
  if (node.kept) tags['ecs-node:keep'] = 'yes';
  if (node.cluster !== undefined) tags['ecs-node:cluster'] = node.cluster;
  if (node.forged !== undefined) tags['ecs-node:missing-since'] = String(now - node.forged);
  const instance = {
    status,
    agentConnected,
    runningTasks,
    registeredAt: now - node.registered,
    oldNotes: node.forged === undefined ? [] : ['ecs-node.sweep.disconnected', 'ecs-node.sweep.drained'],
  };
  const overrides: NodeOverrides = {
    instance: sides.instance ? instance : undefined,
    machine: sides.machine && !node.external ? { state, launchedAt: now - node.launched, tags } : undefined,
    member: sides.member && !node.external ? { lifecycleState, protectedFromScaleIn } : undefined,
  };
  addNode(fleet, id, now, overrides);
  if (second && sides.instance) {
    const { registered } = second;
    addSecondRecord(fleet, id, { agentConnected: second.agentConnected, registeredAt: now - registered });
  }
  if (note && !node.external) addNote(fleet, id, note.kind, now - note.ago);
  if (node.terminationProtection) fleet.protectedIds.add(id);
  if (record && !node.external) addRecord(fleet, id, now, { status: record.status, createdAt: now - record.created });
}

const options = (more: object = {}) => ({
  cluster,
  groups: [group],
  stack: 'stack',
  namePattern: `${cluster} ECS - *`,
  metricsNamespace: 'System/Linux',
  olderThanMs: 2 * hour,
  drainingOlderThanMs: 12 * hour,
  recheckMs: 180_000,
  maxNodes: 1,
  apply: true,
  ...more,
});

const ending = (deeds: string[]) => deeds.filter((deed) => /^(drain|terminate) /.test(deed));

/** Enough to find each of the guards missing; a loaded machine needs some seconds for them. */
const check = <T>(property: fc.IAsyncProperty<T>) => fc.assert(property, { seed: 1, numRuns: 200 });
/** Judged by the world alone, not by the sweep's own reasoning. */
function faultsOf(fleet: FakeFleet, deed: string): string[] {
  const [what = '', id = '', which] = deed.split(' ');
  if (what.startsWith('read')) return [];
  const machine = fleet.machines.get(id);
  const member = fleet.members.get(id);
  const records = [...fleet.instances.values(), ...fleet.secondRecords].filter(({ instanceId }) => instanceId === id);
  const faults: string[] = [];
  if (id.startsWith('mi-')) faults.push('it is external');
  if (what === 'drain' || what === 'terminate') {
    if (records.some(({ status, agentConnected }) => status === 'ACTIVE' && agentConnected)) faults.push('it is well');
    if (machine?.state !== 'running') faults.push('it does not run');
    if (member?.lifecycleState !== 'InService') faults.push('it is not in service');
    if (member?.protectedFromScaleIn || machine?.tags['ecs-node:keep'] !== undefined) faults.push('it is protected');
  }
  if (what === 'terminate') {
    if (records.length > 0 && !records.some(({ status }) => status === 'DRAINING')) faults.push('it was not drained');
    if (records.length === 0 && machine?.tags['ecs-node:cluster'] === 'other') faults.push('it is in another cluster');
    if (!fleet.notes.has(id)) faults.push('it was not noted');
  }
  if (what === 'clear' && (machine?.tags['ecs-node:keep'] !== undefined || member?.lifecycleState === 'Standby')) {
    faults.push('it belongs to a person');
  }
  const isGone = (each: string) => ['terminated', undefined].includes(fleet.machines.get(each)?.state);
  if (what === 'deregister') {
    const isStale = records.length > 1 && !id.startsWith('record-of-');
    const record =
      which === 'second' ? fleet.secondRecords.find(({ instanceId }) => instanceId === id) : fleet.instances.get(id);
    if (isStale && record?.agentConnected) faults.push('it is connected');
    if (isStale && !isGone(id) && record!.runningTasks > 0 && !records.some(({ agentConnected }) => agentConnected))
      faults.push('its tasks may run');
    if (!isStale && !isGone(id.replace('record-of-', ''))) faults.push('its instance lives');
  }
  return faults;
}

test('no sweep changes a node that is well, protected or of uncertain state', async () => {
  await check(
    fc.asyncProperty(drawnFleet, fc.integer({ min: 0, max: 10 }), async (nodes, maxNodes) => {
      const clock = openFakeClock();
      const fleet = build(nodes, clock.now());
      const faults: string[] = [];
      fleet.before = (call) => void faults.push(...faultsOf(fleet, call).map((fault) => `${call}: ${fault}`));
      for (let runs = 0; runs < 4; runs++) {
        await clock.finish(sweep(fleet, options({ maxNodes }), clock, log, signal));
        clock.jump(7 * hour);
      }
      expect(faults).toEqual([]);
    }),
  );
});

test('no sweep ends more nodes than allowed, or has more than a tenth leave at one time', async () => {
  await check(
    fc.asyncProperty(drawnFleet, fc.integer({ min: 0, max: 10 }), async (nodes, maxNodes) => {
      const clock = openFakeClock();
      const fleet = build(nodes, clock.now());
      for (let runs = 0; runs < 4; runs++) {
        fleet.calls = [];
        const before = new Set(leaving(fleet));
        const { nodes: count } = await clock.finish(sweep(fleet, options({ maxNodes }), clock, log, signal));
        expect(ending(fleet.actions()).length).toBeLessThanOrEqual(Math.min(maxNodes, maxLeavingAtOnce(count)));
        const added = leaving(fleet).filter((id) => !before.has(id)).length;
        expect(added === 0 || before.size + added <= maxLeavingAtOnce(count)).toBe(true);
        clock.jump(7 * hour);
      }
    }),
  );
});

function leaving(fleet: FakeFleet): string[] {
  const ended = ['terminated', 'shutting-down', 'stopping', 'stopped'];
  const alive = [...fleet.machines.values()].filter(({ state }) => !ended.includes(state));
  return alive
    .map(({ instanceId }) => instanceId)
    .filter((id) => {
      const records = [...fleet.instances.values(), ...fleet.secondRecords].filter((each) => each.instanceId === id);
      const { real } = separateRecords(records);
      return (
        ['DRAINING', 'DEREGISTERING'].includes(real[0]?.status ?? '') ||
        fleet.members.get(id)?.lifecycleState.startsWith('Terminating') === true
      );
    });
}

test('a sweep without --apply only reads, whatever it finds', async () => {
  await check(
    fc.asyncProperty(drawnFleet, fc.integer({ min: 0, max: 10 }), async (nodes, maxNodes) => {
      const clock = openFakeClock();
      const fleet = build(nodes, clock.now());
      await clock.finish(sweep(fleet, options({ maxNodes, apply: false }), clock, log, signal));
      expect(fleet.actions()).toEqual([]);
    }),
  );
});

test('no silence of AWS leads to a change', async () => {
  await check(
    fc.asyncProperty(drawnFleet, fc.integer({ min: 1, max: 12 }), async (nodes, nth) => {
      const clock = openFakeClock();
      const [silent, whole] = [build(nodes, clock.now()), build(nodes, clock.now())];
      let calls = 0;
      silent.before = (call) => {
        if (call.startsWith('read') && ++calls % nth === 0) {
          throw calls % 2 === 0 ? new Unavailable('throttled') : new Refused('no', { code: 'AccessDenied' });
        }
      };
      const run = (fleet: FakeFleet) => clock.finish(sweep(fleet, options({ maxNodes: 10 }), clock, log, signal));
      await run(whole);
      const failed = await run(silent).then(
        () => false,
        (error: unknown) => {
          if (error instanceof Unavailable || error instanceof Refused) return true;
          throw error;
        },
      );
      expect(failed && silent.actions().length > 0).toBe(false);
      // Less is known, so nothing may be done that the whole picture does not ask for.
      const allowed = new Set(whole.actions());
      expect(silent.actions().filter((deed) => !allowed.has(deed))).toEqual([]);
    }),
  );
});

test('no incomplete list ends a node or removes its record, whatever it lacks and however often', async () => {
  const lists = ['readContainerInstances', 'readGroups', 'readMachinesOfGroups', 'readMachines', 'readRecords'];
  const lacking = fc.record({
    lists: fc.subarray(lists, { minLength: 1 }),
    everyNth: fc.integer({ min: 1, max: 4 }),
  });
  await check(
    fc.asyncProperty(drawnFleet, lacking, async (nodes, { lists: short, everyNth }) => {
      const clock = openFakeClock();
      const fleet = build(nodes, clock.now());
      fleet.lacks = (call, id) => short.includes(call) && Number(id.replace(/\D/g, '')) % everyNth === 0;
      const faults: string[] = [];
      fleet.before = (call) => void faults.push(...faultsOf(fleet, call).map((fault) => `${call}: ${fault}`));
      for (let runs = 0; runs < 4; runs++) {
        await clock.finish(sweep(fleet, options({ maxNodes: 10 }), clock, log, signal));
        clock.jump(7 * hour);
      }
      expect(faults).toEqual([]);
    }),
  );
});

test('repeated sweeps come to an end, and repeat nothing', async () => {
  await check(
    fc.asyncProperty(drawnFleet, fc.integer({ min: 1, max: 10 }), async (nodes, maxNodes) => {
      const clock = openFakeClock();
      const fleet = build(nodes, clock.now());
      for (let runs = 0; runs < 30; runs++) await clock.finish(sweep(fleet, options({ maxNodes }), clock, log, signal));
      fleet.calls = [];
      await clock.finish(sweep(fleet, options({ maxNodes }), clock, log, signal));
      // A node that stays DRAINING is noted as seen by each run.
      expect(fleet.actions().filter((action) => !action.startsWith('renew '))).toEqual([]);
    }),
  );
});
