/**
 * The state that all nodes of a storm share: one account in one region, one cluster, one Auto
 * Scaling group, one OpsWorks stack.
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

/** The fault in the image of all nodes. */
export type Flaw = 'none' | 'other cluster' | 'installer fails';

export interface World {
  config: Config;
  chance: Chance;
  clock: StormClock;
  /** The same clock, in the form that the fakes take. */
  fakeClock: FakeClock;
  wire: Wire;
  traffic: Traffic;
  cluster: FakeCluster;
  /**
   * The nodes that have ever joined the leave queue, so that a reader of the queue need not search
   * ten thousand nodes.
   */
  queued: Set<FakeContainerInstance>;
  opsworks: FakeOpsWorks;
  activities: ScalingActivity[];
  nodes: StormNode[];
  flaw: Flaw;
  /** The seconds between two heartbeats. */
  hookSeconds: { launch: number; terminate: number };
  /**
   * The factor by which watchers of the machine itself sleep longer while they cannot find
   * anything.
   */
  slowness: number;
  /** True if the group replaces each node that is gone. */
  replaces: boolean;
  /** The events of the storm, in milliseconds since it began. */
  inService: number[];
  deaths: Death[];
  held: { at: number; id: string }[];
  drained: Map<string, number>;
  violations: string[];
}

export interface Death {
  at: number;
  id: string;
  /** True if the node was healthy and had no order to leave. */
  wrongly: boolean;
}

/** The values of cloudformation/cluster.yaml. */
const hookSeconds = { launch: 1800, terminate: 1200 };

/** The clock's uptime at the start. */
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
