/**
 * What all nodes of a storm share: one account in one region, one cluster, one Auto Scaling group,
 * one OpsWorks stack.
 */

import type { Config } from '../../config/config.ts';
import type { ScalingActivity } from '../../core/host.ts';
import type { FakeClock } from '../../test/fakes/clock.ts';
import { openFakeCluster, type FakeCluster, type FakeContainerInstance } from '../../test/fakes/cloud/cluster.ts';
import { someOpsWorks, type FakeOpsWorks } from '../../test/fakes/cloud/opsworks.ts';
import type { Chance } from '../../test/simulation/faults/chance.ts';
import type { Wire } from './client.ts';
import { openStormClock, type StormClock } from './clock.ts';
import { openAdmission, type Admission } from './limits.ts';
import type { StormNode } from './node.ts';
import { emptyTraffic, type Traffic } from './traffic.ts';

/** What is wrong with the image of all nodes. */
export type Flaw = 'none' | 'other cluster' | 'installer fails';

export interface World {
  config: Config;
  chance: Chance;
  clock: StormClock;
  /** The same clock, as the fakes call it. */
  fakeClock: FakeClock;
  wire: Wire;
  traffic: Traffic;
  cluster: FakeCluster;
  /**
   * Those that have stood in the queue to leave: whoever reads it need not look at ten thousand
   * others.
   */
  queued: Set<FakeContainerInstance>;
  opsworks: FakeOpsWorks;
  activities: ScalingActivity[];
  nodes: StormNode[];
  flaw: Flaw;
  /** Between two heartbeats. */
  hookSeconds: { launch: number; terminate: number };
  /**
   * How many times as long the watchers of what is on the machine itself sleep while nothing can
   * happen there.
   */
  slowness: number;
  /** The group launches another node for each that is gone. */
  replaces: boolean;
  /** What happened and when, in milliseconds since the storm began. */
  inService: number[];
  deaths: Death[];
  held: { at: number; id: string }[];
  drained: Map<string, number>;
  violations: string[];
}

export interface Death {
  at: number;
  id: string;
  /** Nothing was wrong with it, and nobody had told it to go. */
  wrongly: boolean;
}

/** As cloudformation/cluster.yaml sets them. */
const hookSeconds = { launch: 1800, terminate: 1200 };

/** Uptime of the clock at its beginning. */
export const beginning = 1_000;

export function since(world: World): number {
  return world.clock.uptime() - beginning;
}

export function openWorld(config: Config, chance: Chance, flaw: Flaw, admit: Admission = openAdmission()): World {
  const clock = openStormClock(Date.UTC(2030, 0, 1));
  const traffic = emptyTraffic();
  return {
    config,
    chance,
    clock,
    fakeClock: clock as unknown as FakeClock,
    wire: { admit, traffic, chance, uptime: clock.uptime },
    traffic,
    cluster: openFakeCluster(config.cluster),
    queued: new Set(),
    opsworks: someOpsWorks(),
    activities: [],
    nodes: [],
    flaw,
    hookSeconds: { ...hookSeconds },
    slowness: 30,
    replaces: false,
    inService: [],
    deaths: [],
    held: [],
    drained: new Map(),
    violations: [],
  };
}
