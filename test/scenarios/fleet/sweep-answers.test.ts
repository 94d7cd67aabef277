/**
 * A sweep while one AWS call is throttled, refused, cut short or answered by another server. It
 * runs in this process with a clock that does not wait, because each retry takes a minute.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import type { FleetNodes } from '../../../core/fleet/fleet-nodes.ts';
import { openLog } from '../../../core/log.ts';
import type { Clock } from '../../../core/retry.ts';
import type { SweepReport } from '../../../fleet/sweep/findings.ts';
import { sweep } from '../../../fleet/sweep/sweep.ts';
import { openFleetNodes } from '../../../host/aws/fleet/open.ts';
import { openFleetSession } from '../../../host/aws/session/fleet-session.ts';
import { openClock } from '../../../host/clock.ts';
import type { FaultEffect } from '../../../simulator/faults.ts';
import { waitFor } from '../../../simulator/wait-for.ts';
import { hour, openFleetForSuite, stackId, type FleetStage } from './fleet-stage.ts';

const log = openLog(() => {}, Date.now);
const { signal } = new AbortController();
const gone = 'i-00000000000000bad';

let stage: FleetStage;
let close: () => Promise<void>;
let fleet: FleetNodes;
let lost: string;
let never: string;
let dead: string;
let guarded: string;
let shift = 0;
const real = openClock();
const clock: Clock = {
  ...real,
  now: () => Date.now() + shift,
  uptime: () => real.uptime() + shift,
  sleep: (ms) => {
    shift += ms;
    return Promise.resolve();
  },
};

beforeAll(async () => {
  ({ stage, close } = await openFleetForSuite(12));
  const { simulator, nodes } = stage;
  const { world, verbs } = simulator;
  [lost = '', never = '', dead = '', guarded = ''] = nodes;
  verbs.disconnectEcsAgent(lost);
  stage.note(lost, 'disconnected', 3 * hour);
  const cluster = world.clusters.get('demo')!;
  cluster.containerInstances.delete(stage.instance(never).arn.split('/').at(-1)!);
  cluster.byInstance.delete(never);
  stage.note(never, 'missing', hour);
  verbs.disconnectEcsAgent(dead);
  verbs.terminate(dead);
  verbs.protect(guarded);
  for (const id of nodes) if (id !== dead) stage.register(id);
  stage.register(gone, 'connection_lost');
  await waitFor('terminated', () => world.instances.get(dead)!.state === 'terminated');
  const session = openFleetSession(simulator.region, simulator.operatorEnvironment(), log);
  fleet = openFleetNodes(session, { region: simulator.region }, clock, log);
}, 120_000);
afterAll(async () => {
  fleet.close();
  await close();
});

const options = (apply: boolean) => ({
  cluster: 'demo',
  groups: [],
  stack: stackId,
  namePattern: 'demo ECS - *',
  metricsNamespace: 'System/Linux',
  olderThanMs: 2 * hour,
  drainingOlderThanMs: 12 * hour,
  recheckMs: 0,
  maxNodes: 9,
  apply,
});

/** Runs a sweep with this answer to the call, and returns the changes that it was about to make. */
async function runWith(
  operation: string,
  effect: FaultEffect,
  { service, nth, apply = false }: { service?: string; nth?: number; apply?: boolean } = {},
) {
  const { simulator } = stage;
  shift = 0;
  simulator.calls.clear();
  const rule = { operation, effect, ...(service && { service }), ...(nth && { nth }) };
  const remove = simulator.faults.add(rule);
  try {
    const report = await sweep(fleet, options(apply), clock, log, signal).catch((error: unknown) => error);
    return { report, asked: simulator.calls.find({ operation }).length };
  } finally {
    remove();
  }
}

const deedsOf = ({ findings }: SweepReport) =>
  findings
    .filter(({ outcome }) => outcome === 'would')
    .map(({ deed, instanceId }) => `${deed!.kind} ${instanceId}`)
    .toSorted();

const json = (body: string): FaultEffect => ({ kind: 'answer', body, type: 'application/x-amz-json-1.1' });
const xml = (body: string): FaultEffect => ({ kind: 'answer', body, type: 'text/xml' });
const denied = (code: string, status: number): FaultEffect => ({ kind: 'error', code, status });

const common: [string, FaultEffect][] = [
  ['is throttled', { kind: 'throttle' }],
  ['is answered by a web page', { kind: 'html', status: 200 }],
  ['is answered 200 with nothing', { kind: 'answer', body: '' }],
];
const ofJson: [string, FaultEffect][] = [
  ...common,
  ['is refused', denied('AccessDeniedException', 400)],
  ['is answered 200 {}', json('{}')],
  [
    'is answered 200 with null',
    json('{"containerInstanceArns":null,"containerInstances":null,"clusters":null,"Stacks":null}'),
  ],
  ['is answered 200 with lists of nothing', json('{"containerInstances":[],"clusters":[],"Stacks":[]}')],
];
const ofXml = (name: string): [string, FaultEffect][] => [
  ...common,
  ['is refused', denied(name.startsWith('DescribeAuto') ? 'AccessDenied' : 'UnauthorizedOperation', 403)],
  ['is answered without its list', xml(`<${name}Response xmlns="x"><${name}Result/></${name}Response>`)],
];

const each = (operation: string, effects: [string, FaultEffect][]) =>
  effects.map(([how, effect]) => [`${operation} ${how}`, operation, effect] as const);

test('the sweep acts on the four nodes with complete answers', async () => {
  const report = await sweep(fleet, options(false), clock, log, signal);
  expect(deedsOf(report)).toEqual(
    [
      `clear-protection ${guarded}`,
      `deregister-container-instance ${dead}`,
      `deregister-record ${gone}`,
      `terminate ${never}`,
    ].toSorted(),
  );
  // One node at a time, of twelve.
  const held = { kind: 'disconnected', why: expect.stringContaining('held back') };
  expect(report.findings.find(({ instanceId }) => instanceId === lost)).toMatchObject(held);
});

test.each([
  ...each('ListContainerInstances', ofJson),
  ...each('DescribeContainerInstances', ofJson),
  ...each('DescribeInstances', ofXml('DescribeInstances')),
  ...each('DescribeAutoScalingGroups', ofXml('DescribeAutoScalingGroups')),
])('the sweep does nothing at all while %s', { timeout: 60_000 }, async (_title, operation, effect) => {
  const service = operation === 'DescribeInstances' ? 'ec2' : undefined;
  const { report, asked } = await runWith(operation, effect, { apply: true, ...(service && { service }) });
  expect(asked).toBeGreaterThan(0);
  expect(report instanceof Unavailable || report instanceof Refused, String(report)).toBe(true);
  expect(stage.mutations()).toEqual([]);
});

describe('the sweep concludes nothing from', () => {
  test.each([
    ...each('DescribeClusters', ofJson).map((row) => [...row, 'ecs', 'terminate'] as const),
    ...each('ListClusters', [...ofJson, ['is answered 200 with no cluster', json('{"clusterArns":[]}')]]).map(
      (row) => [...row, 'ecs', 'terminate'] as const,
    ),
    ...each('DescribeStacks', ofJson).map((row) => [...row, 'opsworks', 'deregister-record'] as const),
    ...each('DescribeStacks', ofJson).map((row) => [...row, 'opsworks', 'clear-protection'] as const),
    ...each('DescribeInstanceAttribute', ofXml('DescribeInstanceAttribute')).map(
      (row) => [...row, 'ec2', 'clear-protection'] as const,
    ),
  ])('%s', { timeout: 60_000 }, async (_title, operation, effect, service, deed) => {
    const { report, asked } = await runWith(operation, effect, { service });
    expect(asked).toBeGreaterThan(0);
    expect((report as SweepReport).unanswered).not.toEqual([]);
    expect(deedsOf(report as SweepReport).filter((each) => each.startsWith(deed))).toEqual([]);
  });
});

describe('the sweep takes no step while its last read fails:', () => {
  test.each([
    ...each('DescribeAutoScalingInstances', ofXml('DescribeAutoScalingInstances')),
    ...each('DescribeInstances', ofXml('DescribeInstances')),
    ...each('ListClusters', ofJson).filter(([title]) => !title.endsWith('is refused')),
  ])('%s', { timeout: 60_000 }, async (_title, operation, effect) => {
    const service = { DescribeInstances: 'ec2', ListClusters: 'ecs' }[operation] ?? 'autoscaling';
    await sweep(fleet, options(false), clock, log, signal);
    stage.simulator.calls.clear();
    await sweep(fleet, options(false), clock, log, signal);
    const nth = stage.simulator.calls.find({ operation, service }).length + 1;
    const { report } = await runWith(operation, effect, { service, nth, apply: true });
    const { findings } = report as SweepReport;
    expect(findings.find(({ instanceId }) => instanceId === never)).toMatchObject({ outcome: 'failed' });
    expect(stage.mutations().filter((call) => /Update|Terminate|CreateOrUpdateTags/.test(call))).toEqual([]);
    expect(stage.instance(lost).status).toBe('ACTIVE');
  });
});

// Last, because it drains a node.
test('a refused search in other clusters keeps that node, and the next one has its place', async () => {
  const { report } = await runWith('ListClusters', denied('AccessDeniedException', 400), { nth: 2, apply: true });
  const own = (report as SweepReport).findings.find(({ instanceId }) => instanceId === never);
  expect(own).toMatchObject({ outcome: 'failed', error: expect.stringContaining('ecs:ListClusters') });
  expect(stage.mutations().filter((call) => /Terminate/.test(call))).toEqual([]);
  expect(stage.lifecycle(never)).toBe('InService');
  expect(stage.instance(lost).status).toBe('DRAINING');
});
