/** Evaluates every invariant at each of its occasions. */

import { messageOf } from '../../core/errors.ts';
import { paths } from '../../core/state/state.ts';
import type { Call, CallObserver } from './effects.ts';
import { invariants } from './invariants/all.ts';
import type { Invariant } from './invariants/invariant.ts';
import { isDeadly } from './invariants/healthy-stays.ts';
import { noteRegistrar } from './invariants/no-record-stays.ts';
import { noteFault, ownInstance, type Node } from './world/node.ts';
import { hearLie } from './faults/lying.ts';
import { count, nodeOf, note, violate, type Region, type Stats } from './world/region.ts';

type Occasion = keyof Stats['asked'];

const whoIsAsked = (occasion: Occasion) => invariants.filter((each) => each[occasion] !== undefined);

/** Chosen once, because a life has some ten thousand occasions. */
const asked = {
  onCall: whoIsAsked('onCall'),
  afterCall: whoIsAsked('afterCall'),
  afterEvent: whoIsAsked('afterEvent'),
  atDeath: whoIsAsked('atDeath'),
  atEnd: whoIsAsked('atEnd'),
};

function ask(
  region: Region,
  node: Node,
  occasion: Occasion,
  question: (invariant: Invariant) => string | undefined,
): void {
  region.stats.asked[occasion] += 1;
  for (const invariant of asked[occasion]) {
    const fault = question(invariant);
    if (fault !== undefined) violate(region, invariant.name, node, fault);
  }
}

/** Counts how often each invariant was evaluated. */
export function countChecks({ stats }: Region): void {
  for (const [occasion, all] of Object.entries(asked))
    for (const { name } of all) count(stats.checked, name, stats.asked[occasion as Occasion]);
}

/** Without its entry in the leave queue, a drained node looks like one that a person drained. */
function isOvertaken(region: Region, node: Node, { verb }: Call): boolean {
  if (verb === 'unqueue') return ownInstance(region, node)?.status === 'DRAINING';
  return verb === 'drain' || verb === 'activate';
}

export function openCallObserver(region: Region): CallObserver {
  return {
    before(call) {
      const node = nodeOf(region, call);
      ask(region, node, 'onCall', ({ onCall }) => onCall?.(region, node, call));
      if (isDeadly(call)) node.truth.ended ??= call.verb;
      if (call.verb === 'drain') node.truth.wasDrained = true;
    },
    late(call) {
      const node = nodeOf(region, call);
      if (isOvertaken(region, node, call)) {
        node.truth.overtaken = true;
        node.truth.overtakenAt = region.clock.uptime();
      }
      note(region, node, `${call.verb}: takes effect late`, words(call));
      if (isDeadly(call)) node.truth.ended ??= call.verb;
    },
    after(call, result, error) {
      const node = nodeOf(region, call);
      region.stats.calls += 1;
      if (call.verb === 'readRebalanceNotice' && result !== undefined)
        node.truth.rebalanceHeardAt ??= region.clock.uptime();
      if (error === undefined && call.verb === 'writeText') noteStored(node, call.args[0]);
      if (isWorthTelling(call)) note(region, node, call.verb, error === undefined ? words(call) : messageOf(error));
      if (error === undefined)
        ask(region, node, 'afterCall', ({ afterCall }) => afterCall?.(region, node, call, result));
    },
    answered(call) {
      if (call.verb === 'readSpotStatus') nodeOf(region, call).truth.spotAnsweredAt = region.clock.uptime();
    },
    fault(call, name) {
      const node = nodeOf(region, call);
      count(region.stats.faults, name);
      noteFault(node, region.clock.uptime());
      if (name === 'not allowed for now') node.truth.refused.set(call.verb, region.clock.uptime());
      if (call.args[0] === paths.lastGood && node.configuration !== undefined) node.configuration.mayGoBack = true;
      if (call.args[0] === paths.departure) node.truth.forgetfulSince ??= region.clock.uptime();
      noteRegistrar(region, node, call);
      if (call.args[0] === paths.agent) node.truth.hasOldStatus = true;
      if (call.service === 'elb') node.truth.elbTroubleAt = region.clock.uptime();
      if (call.service === 'opsworks') node.truth.opsworksTroubleAt = region.clock.uptime();
      note(region, node, `${call.verb}: ${name}`, words(call));
    },
    twist(call, { fault }) {
      const node = nodeOf(region, call);
      count(region.stats.faults, fault);
      // A late answer counts as a fault, as a slow one does.
      if (fault === 'late answer') noteFault(node, region.clock.uptime());
      note(region, node, `${call.verb}: ${fault}`, words(call));
    },
    lie(call, lie) {
      hearLie(region, nodeOf(region, call), call, lie);
    },
  };
}

/** A process that was killed before has forgotten the departure, whatever the next one writes. */
function noteStored({ truth, agentStartedAt }: Node, path: unknown): void {
  if (path === paths.agent) truth.hasOldStatus = false;
  const { forgetfulSince = -Infinity } = truth;
  if (path === paths.departure && forgetfulSince >= agentStartedAt) truth.forgetfulSince = undefined;
}

/** Calls that repeat every second would push everything else out of the trace. */
function isWorthTelling({ service, verb }: Call): boolean {
  return (
    service !== 'metadata' && service !== 'introspection' && verb !== 'readText' && verb !== 'notify' && verb !== 'say'
  );
}

/**
 * The trace renders the arguments only when a person reads it: the path of a written file, not its
 * text.
 */
function words({ verb, args }: Call): unknown {
  if (verb === 'writeText') return args[0];
  return args.length === 0 ? undefined : args;
}

export function checkEvent(region: Region): void {
  for (const node of region.nodes) {
    if (node.phase !== 'gone') ask(region, node, 'afterEvent', ({ afterEvent }) => afterEvent?.(region, node));
  }
}

export function checkDeath(region: Region, node: Node): void {
  ask(region, node, 'atDeath', ({ atDeath }) => atDeath?.(region, node));
}

export function checkEnd(region: Region): void {
  for (const node of region.nodes) ask(region, node, 'atEnd', ({ atEnd }) => atEnd?.(region, node));
}

/** True if `checkEnd` would report nothing. */
export function isInOrder(region: Region): boolean {
  return region.nodes.every((node) => invariants.every(({ atEnd }) => atEnd?.(region, node) === undefined));
}
