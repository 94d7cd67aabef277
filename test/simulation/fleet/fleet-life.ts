/**
 * The life of a whole fleet: all disks fill at once, AWS fails for a while, ECS agents lose their
 * connection, and sweeps run all the time.
 */

import { parseConfig } from '../../../config/config.ts';
import type { FleetNodes } from '../../../core/fleet/fleet-nodes.ts';
import { openLog } from '../../../core/log.ts';
import { sweep } from '../../../fleet/sweep/sweep.ts';
import type { SweepReport } from '../../../fleet/sweep/findings.ts';
import { cluster } from '../../fakes/fleet-nodes.ts';
import { fillUp } from '../world/disk.ts';
import { count, note, type Region } from '../world/region.ts';
import { loseSight } from '../world/tasks.ts';
import type { Scenario } from '../scenario.ts';
import { simulate, type Life } from '../simulate.ts';
import { openRegionFleet } from './region-fleet.ts';

const minute = 60_000;

/** At most a tenth of the fleet may drain for full disks. */
const config = {
  cluster: 'demo',
  registrar: 'none',
  disk: { checks: 2, maxLeavingPercent: 10 },
  leave: { drainSeconds: 300 },
};

export interface FleetLife extends Life {
  /** The most nodes that were DRAINING at the same time, and the most that their disks allow. */
  mostDraining: number;
  mayDrain: number;
  sweeps: number;
  /** Sweeps that could not read the fleet, which is right during an outage. */
  failedSweeps: number;
  /** Findings and deeds of all sweeps, by kind and outcome. */
  swept: Map<string, number>;
  cpuSeconds: number;
}

export async function simulateFleet(seed: number, nodes: number, lines = 40): Promise<FleetLife> {
  const before = process.cpuUsage();
  const seen = { mostDraining: 0, sweeps: 0, failedSweeps: 0, swept: new Map<string, number>() };
  const life = await simulate(seed, lines, {
    scenario: (drawn) => fleetScenario(drawn, nodes),
    begin: (region) => beginFleet(region, seen),
  });
  const { user, system } = process.cpuUsage(before);
  const mayDrain = Math.max(1, Math.floor((nodes * config.disk.maxLeavingPercent) / 100));
  return { ...life, ...seen, mayDrain, cpuSeconds: (user + system) / 1e6 };
}

function fleetScenario(drawn: Scenario, nodes: number): Scenario {
  return {
    ...drawn,
    config: parseConfig(config),
    planted: undefined,
    denied: [],
    nodes,
    spot: false,
    hasGroup: true,
    launchHook: true,
    terminateHook: true,
    warmPool: undefined,
    daily: 0.002,
    troubleEveryMs: 15 * minute,
    accidentEveryMs: 5 * minute,
    noticeEveryMs: 10 * minute,
    ailmentEveryMs: 10 * minute,
    slowness: 30,
    stormyMs: 90 * minute,
  };
}

type Seen = Pick<FleetLife, 'mostDraining' | 'sweeps' | 'failedSweeps' | 'swept'>;

function beginFleet(region: Region, seen: Seen): void {
  const { clock } = region;
  const up = () => region.nodes.filter(({ phase }) => phase === 'up');
  clock.schedule(10 * minute, () => {
    for (const node of up()) fillUp(region, node);
  });
  clock.schedule(30 * minute, () => {
    note(region, undefined, 'AWS fails');
    region.faults.failAll(10 * minute);
  });
  clock.schedule(60 * minute, () => loseSight(region));
  every(region, 10_000, () => {
    const draining = region.cluster.instances.filter(({ status }) => status === 'DRAINING').length;
    seen.mostDraining = Math.max(seen.mostDraining, draining);
  });
  const fleet = openRegionFleet(region);
  every(region, 5 * minute, () => void runSweep(region, fleet, seen));
}

function every(region: Region, ms: number, act: () => void): void {
  region.clock.schedule(ms, () => {
    act();
    every(region, ms, act);
  });
}

async function runSweep(region: Region, fleet: FleetNodes, seen: Seen): Promise<void> {
  seen.sweeps += 1;
  const options = {
    cluster,
    groups: [],
    namePattern: 'demo ECS - *',
    metricsNamespace: 'System/Linux',
    olderThanMs: 15 * minute,
    drainingOlderThanMs: 30 * minute,
    recheckMs: 3 * minute,
    maxNodes: 2,
    apply: true,
  };
  const log = openLog(() => {}, region.clock.now);
  try {
    tally(seen.swept, await sweep(fleet, options, region.clock, log, new AbortController().signal));
  } catch {
    seen.failedSweeps += 1;
  }
}

function tally(swept: Map<string, number>, { findings, brake }: SweepReport): void {
  if (brake !== undefined) count(swept, 'the brake holds');
  for (const { kind, outcome } of findings) count(swept, `${kind}: ${outcome}`);
}
