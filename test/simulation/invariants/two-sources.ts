import { reasons } from '../faults/causes.ts';
import type { Invariant } from './invariant.ts';

/** Deeds that ACTIVE does not undo, beside the node's end (healthy-stays.ts). */
const irrevocable = new Set(['stopTask', 'deregisterTarget', 'deregisterFromLoadBalancer', 'deregister']);

/** A departure whose cause was real goes on for so long after the cause is gone. */
const underWayMs = 3_600_000;

export const twoSources: Invariant = {
  name: 'two sources',
  sentence:
    'No node loses its place in a load balancer, its record or a task because the metadata service alone says that it goes.',
  onCall(region, node, { verb, process }) {
    if (!irrevocable.has(verb) || process.name !== 'agent') return undefined;
    const why = reasons(node, region.clock.uptime(), underWayMs);
    if (why.length === 0 || why.some((reason) => reason !== 'lie')) return undefined;
    return `${verb} on the word of one source`;
  },
};
