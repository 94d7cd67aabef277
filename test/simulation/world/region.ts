/**
 * The state that all nodes of a simulation share: time, faults, one cluster, one stack, one Auto
 * Scaling group; and the record of events.
 */

import type { ScalingActivity } from '../../../core/host.ts';
import type { FakeClock } from '../../fakes/clock.ts';
import { openFakeCluster, type FakeCluster } from '../../fakes/cloud/cluster.ts';
import type { Chance } from '../faults/chance.ts';
import { openSimulatedClock, type ForeseeingClock } from '../clock.ts';
import type { Call } from '../effects.ts';
import type { Node } from './node.ts';
import { openReplicas, type Replicas } from './replicas.ts';
import type { Scenario } from '../scenario.ts';
import { longestLagMs, type Inconsistency } from '../faults/inconsistency.ts';
import type { Lies } from '../faults/lies.ts';
import { openFaultInjector, type FaultInjector } from '../faults/fault-injector.ts';

/** The first broken invariant. */
export interface Violation {
  invariant: string;
  node: string;
  what: string;
  at: number;
}

export interface Stats {
  events: number;
  /** Calls to EventBridge. */
  eventCalls: number;
  calls: number;
  faults: Map<string, number>;
  deaths: Map<string, number>;
  /** How often each occasion came to evaluate the invariants. */
  asked: Record<'onCall' | 'afterCall' | 'afterEvent' | 'atDeath' | 'atEnd', number>;
  /** How often each invariant was evaluated; known at the end. */
  checked: Map<string, number>;
}

export interface Region {
  scenario: Scenario;
  chance: Chance;
  clock: ForeseeingClock;
  /** The same clock, in the form that the fakes take. */
  fakeClock: FakeClock;
  faults: FaultInjector;
  /** The behaviour of AWS without any fault; present only in some lives. */
  inconsistency: Inconsistency | undefined;
  /** Present only in some lives. */
  lies: Lies | undefined;
  replicas: Replicas | undefined;
  nodes: Node[];
  cluster: FakeCluster;
  activities: ScalingActivity[];
  /** The group's desired capacity. */
  desired: number;
  launched: number;
  /** Since when ECS has lost the connection to all nodes. */
  outageSince: number | undefined;
  /**
   * Since when so many agents are disconnected that every node that asks can see that the fault is
   * not its own.
   */
  seenSince: number | undefined;
  /** True after the last event from outside. */
  calm: boolean;
  calmSince: number;
  trace: Trace;
  stats: Stats;
  violation: Violation | undefined;
}

export interface Trace {
  /** Adds an event and its node; the trace renders it only when a person reads it. */
  add(at: number, node: string, what: string, detail?: unknown): void;
  last(): string[];
  /** A digest of all events, for comparing two runs. */
  hash(): number;
}

export function openTrace(shown: number): Trace {
  const ring: [at: number, node: string, what: string, detail: unknown][] = [];
  let count = 0;
  let hash = 0;
  return {
    add(at, node, what, detail) {
      ring[count++ % shown] = [at, node, what, detail];
      hash = (Math.imul(hash, 31) + Math.round(at) + what.length + (what.codePointAt(0) ?? 0)) | 0;
    },
    last() {
      const from = Math.max(0, count - shown);
      return Array.from({ length: count - from }, (_, i) => render(ring[(from + i) % shown]!));
    },
    hash: () => hash,
  };
}

function render([at, node, what, detail]: [number, string, string, unknown]): string {
  const text = detail === undefined ? '' : ` ${typeof detail === 'string' ? detail : JSON.stringify(detail)}`;
  return `${(at / 1000).toFixed(3).padStart(11)} s  ${node.slice(-3)}  ${what}${text.slice(0, 220)}`;
}

export function openRegion(
  scenario: Scenario,
  chance: Chance,
  inconsistency: Inconsistency | undefined,
  lines: number,
): Region {
  const clock = openSimulatedClock(Date.UTC(2030, 0, 1));
  const faults = openFaultInjector(chance, clock.uptime, scenario.daily);
  for (const verb of scenario.denied) faults.denied.add(verb);
  faults.refusalCode = scenario.refusalCode ?? faults.refusalCode;
  const region: Region = {
    scenario,
    chance,
    clock,
    fakeClock: clock as unknown as FakeClock,
    faults,
    inconsistency,
    lies: undefined,
    replicas: undefined,
    nodes: [],
    cluster: openFakeCluster(scenario.config.cluster),
    activities: [],
    desired: scenario.nodes,
    launched: 0,
    outageSince: undefined,
    seenSince: undefined,
    calm: false,
    calmSince: 0,
    trace: openTrace(lines),
    stats: {
      events: 0,
      eventCalls: 0,
      calls: 0,
      faults: new Map(),
      deaths: new Map(),
      asked: { onCall: 0, afterCall: 0, afterEvent: 0, atDeath: 0, atEnd: 0 },
      checked: new Map(),
    },
    violation: undefined,
  };
  if (inconsistency !== undefined) region.replicas = openReplicas(region, longestLagMs);
  return region;
}

export function count(map: Map<string, number>, key: string, by = 1): void {
  map.set(key, (map.get(key) ?? 0) + by);
}

export function note(region: Region, node: Node | undefined, what: string, detail?: unknown): void {
  region.trace.add(region.clock.uptime(), node?.id ?? '---', what, detail);
}

/** Only the first violation counts: later ones can follow from it. */
export function violate(region: Region, invariant: string, node: Node | undefined, what: string): void {
  region.violation ??= { invariant, node: node?.id ?? '', what, at: region.clock.uptime() };
}

export function nodeOf(region: Region, call: Call): Node {
  for (const node of region.nodes) if (node.id === call.process.node) return node;
  throw new TypeError(`no node ${call.process.node}`);
}
