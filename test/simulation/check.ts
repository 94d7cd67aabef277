/** Asks every invariant at every occasion. */

import { messageOf } from '../../core/errors.ts';
import { paths } from '../../core/state.ts';
import type { Call, Witness } from './effects.ts';
import { invariants } from './invariants/all.ts';
import type { Invariant } from './invariants/invariant.ts';
import { isDeadly } from './invariants/healthy-stays.ts';
import type { Node } from './node.ts';
import { count, nodeOf, note, violate, type Region } from './region.ts';

/** `check` gives null where an invariant has nothing to say about the occasion. */
function ask(region: Region, node: Node, check: (invariant: Invariant) => string | undefined | null): void {
  for (const invariant of invariants) {
    const fault = check(invariant);
    if (fault === null) continue;
    count(region.stats.checked, invariant.name);
    if (fault !== undefined) violate(region, invariant.name, node, fault);
  }
}

export function openWitness(region: Region): Witness {
  return {
    before(call) {
      const node = nodeOf(region, call);
      ask(region, node, ({ onCall }) => (onCall === undefined ? null : onCall(region, node, call)));
      if (isDeadly(call)) node.truth.ended ??= call.verb;
    },
    late(call) {
      const node = nodeOf(region, call);
      if (call.verb === 'drain' || call.verb === 'activate') node.truth.overtaken = true;
      note(region, node, `${call.verb}: takes effect late`, words(call));
      if (isDeadly(call)) node.truth.ended ??= call.verb;
    },
    after(call, result, error) {
      const node = nodeOf(region, call);
      region.stats.calls += 1;
      if (isWorthTelling(call)) note(region, node, call.verb, error === undefined ? words(call) : messageOf(error));
      if (error === undefined)
        ask(region, node, ({ afterCall }) => (afterCall === undefined ? null : afterCall(region, node, call, result)));
    },
    fault(call, name) {
      const node = nodeOf(region, call);
      count(region.stats.faults, name);
      node.truth.faultAt = region.clock.uptime();
      if (call.args[0] === paths.departure) node.truth.forgetful = true;
      if (call.service === 'elb') node.truth.elbTroubleAt = region.clock.uptime();
      if (call.service === 'opsworks') node.truth.opsworksTroubleAt = region.clock.uptime();
      note(region, node, `${call.verb}: ${name}`, words(call));
    },
  };
}

/** Questions that are asked every second would push all else out of the trace. */
function isWorthTelling({ service, verb }: Call): boolean {
  return (
    service !== 'metadata' && service !== 'introspection' && verb !== 'readText' && verb !== 'notify' && verb !== 'say'
  );
}

/** Rendered only when somebody reads it: the path of what is written, not the text. */
function words({ verb, args }: Call): unknown {
  if (verb === 'writeText') return args[0];
  return args.length === 0 ? undefined : args;
}

export function checkEvent(region: Region): void {
  for (const node of region.nodes) {
    if (node.phase !== 'gone')
      ask(region, node, ({ afterEvent }) => (afterEvent === undefined ? null : afterEvent(region, node)));
  }
}

export function checkDeath(region: Region, node: Node): void {
  ask(region, node, ({ atDeath }) => (atDeath === undefined ? null : atDeath(region, node)));
}

export function checkEnd(region: Region): void {
  for (const node of region.nodes) ask(region, node, ({ atEnd }) => (atEnd === undefined ? null : atEnd(region, node)));
}

/** What `checkEnd` would say, without saying it. */
export function isInOrder(region: Region): boolean {
  return region.nodes.every((node) => invariants.every(({ atEnd }) => atEnd?.(region, node) === undefined));
}
