/** EventBridge for one node: refuses, loses answers, and checks that no event precedes its deed. */

import { Unavailable } from '../../../core/errors.ts';
import type { EventsCloud } from '../../../core/host.ts';
import type { Node } from './node.ts';
import { note, violate, type Region } from './region.ts';

/** Counted, not drawn: lives are the same with and without events. */
const fates = ['accepted', 'accepted', 'refused', 'accepted', 'answer lost'] as const;

export function openEventBus(region: Region, node: Node): EventsCloud['putEvent'] {
  return async (_bus, { type, detail }) => {
    const fate = fates[region.stats.eventCalls++ % fates.length];
    if (fate === 'refused') throw new Unavailable('the bus does not answer');
    note(region, node, `event ${type}`, detail);
    const fault = tooEarly(node, type, detail, region.clock.uptime());
    if (fault !== undefined) violate(region, 'no event before its deed', node, fault);
    if (fate === 'answer lost') throw new Unavailable('the answer of the bus is lost');
  };
}

function tooEarly(
  { truth, group }: Node,
  type: string,
  detail: Readonly<Record<string, unknown>>,
  uptime: number,
): string | undefined {
  if (type === 'draining' && !truth.wasDrained) return 'the event "draining" before the call that drains';
  const isOver = truth.ended !== undefined || truth.death !== undefined || /Terminat/.test(group?.lifecycleState ?? '');
  // A group that says "Terminating" has ended the node, as far as the node can know.
  const isTold = uptime - truth.groupLieAt < 60_000;
  if (type === 'left' && detail['ending'] === 'terminate' && !isOver && !isTold)
    return 'the event "left" before the call that ends the node';
  if (type === 'held' && truth.heldAt === undefined) return 'the event "held" before the node waits';
  return undefined;
}
