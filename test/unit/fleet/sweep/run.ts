/** A fleet, and runs of the sweep over it. */

import { openLog } from '../../../../core/log.ts';
import type { SweepOptions, SweepReport } from '../../../../fleet/sweep/findings.ts';
import { sweep } from '../../../../fleet/sweep/sweep.ts';
import { openFakeClock, type FakeClock } from '../../../fakes/clock.ts';
import { addNode, cluster, fakeFleet, type FakeFleet } from '../../../fakes/fleet-nodes.ts';

export const hour = 3_600_000;

export const log = openLog(
  () => {},
  () => 0,
);

const { signal } = new AbortController();

export const options: SweepOptions = {
  cluster,
  groups: [],
  stack: undefined,
  namePattern: `${cluster} ECS - *`,
  metricsNamespace: 'System/Linux',
  olderThanMs: 2 * hour,
  drainingOlderThanMs: 12 * hour,
  recheckMs: 180_000,
  maxNodes: 1,
  apply: true,
};

export let clock: FakeClock;
export let fleet: FakeFleet;

/** An empty fleet, and a clock of its own. */
export function renewFleet(): void {
  clock = openFakeClock();
  fleet = fakeFleet();
}

export function run(more: Partial<SweepOptions> = {}): Promise<SweepReport> {
  return clock.finish(sweep(fleet, { ...options, ...more }, clock, log, signal));
}

/** The deeds of one run. */
export async function deedsOf(more: Partial<SweepOptions> = {}): Promise<string[]> {
  fleet.calls = [];
  await run(more);
  return fleet.actions();
}

export function addHealthy(count: number): string[] {
  const ids = Array.from({ length: count }, (_, index) => `i-h${index}`);
  for (const id of ids) addNode(fleet, id, clock.now());
  return ids;
}

export const whyOf = ({ findings }: SweepReport, id: string) =>
  findings.find(({ instanceId }) => instanceId === id)?.why;
