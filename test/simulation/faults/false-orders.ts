/**
 * Two orders at a time, of which one is false: the metadata service alone reports it, to one node.
 * The other is true, and its second source confirms it. A share of the lives with lies has them,
 * and draws them from a random stream of its own.
 */

import type { Conditions } from '../effects.ts';
import type { Node } from '../world/node.ts';
import { count, note, type Region } from '../world/region.ts';
import { reasons, type Reason } from './causes.ts';
import { openChance, type Chance } from './chance.ts';
import { endLie } from './lying.ts';
import { interrupt, orderToLeave, retire, scaleIn } from './notices.ts';

/** The share of the lives with lies. */
const share = 0.4;

/** Keeps these draws apart from those of the life and of its lies. */
const salt = 0x3a15_e0de;

const minute = 60_000;

/** Until a node is in service and no other source lies. */
const againMs = 10_000;

export function giveFalseOrders(region: Region, conditions: Conditions, seed: number): void {
  const chance = openChance(seed ^ salt);
  // An agent that starts anew for its configuration follows later.
  if (region.lies === undefined || region.scenario.reloads === true || !chance.happens(share)) return;
  tryToBegin(region, conditions, chance, chance.between(0, 5 * minute));
}

function tryToBegin(region: Region, conditions: Conditions, chance: Chance, inMs: number): void {
  region.clock.schedule(inMs, () => {
    if (region.calm) return;
    const nodes = region.nodes.filter((node) => isInService(region, node));
    if (nodes.length === 0 || !beginPair(region, conditions, chance, chance.pick(nodes)))
      tryToBegin(region, conditions, chance, againMs);
  });
}

function isInService({ clock }: Region, node: Node): boolean {
  const { phase, agent, localAgent, group } = node;
  if (phase !== 'up' || agent === undefined || localAgent === undefined) return false;
  return group?.lifecycleState === 'InService' && reasons(node, clock.uptime(), 0).length === 0;
}

/** A verb of the metadata service, and the draws that forge an order to leave (forgeries.ts). */
const spot = { verb: 'readSpotNotice', below: 1 } as const;
const target = { verb: 'readTargetState', below: 2 / 7 } as const;
const maintenance = { verb: 'readMaintenance', below: 2 / 3 } as const;

/** A false maintenance seldom does harm: the node asks EC2 before it obeys. */
const falseOrders = [spot, spot, spot, target, target, maintenance] as const;

interface TrueOrder {
  reason: Reason;
  /** The verb of the metadata service that reports it. */
  verb?: string;
  begin(region: Region, conditions: Conditions, node: Node): void;
}

const trueOrders: readonly TrueOrder[] = [
  { reason: 'scale-in', verb: 'readTargetState', begin: scaleIn },
  { reason: 'operator', begin: orderToLeave },
  { reason: 'retirement', verb: 'readMaintenance', begin: retire },
  { reason: 'spot', verb: 'readSpotNotice', begin: interrupt },
];

function beginPair(region: Region, conditions: Conditions, chance: Chance, node: Node): boolean {
  const { clock, lies, scenario } = region;
  const { verb, below } = chance.pick(falseOrders);
  const isSpot = scenario.spot && scenario.warmPool === undefined;
  const order = chance.pick(trueOrders.filter((each) => each.verb !== verb && (each.reason !== 'spot' || isSpot)));
  const isTrueFirst = chance.happens(0.3);
  const [gapMs, forMs] = [chance.between(0, minute), chance.pick([10, 20]) * minute];
  const lie = lies?.forge({ verb, draw: chance.between(0, below), node: node.id, forMs });
  if (lie === undefined) return false;
  if (isTrueFirst) lie.since += gapMs;
  count(region.stats.faults, `false order: ${verb}`);
  note(region, node, `${verb} is false for ${forMs / minute} min, beside a true ${order.reason}`);
  clock.schedule(forMs, () => endLie(region));
  clock.schedule(isTrueFirst ? 0 : gapMs, () => {
    if (region.calm || node.phase !== 'up' || node.group?.lifecycleState !== 'InService') return;
    node.truth.trueOrder = order.reason;
    order.begin(region, conditions, node);
  });
  return true;
}
