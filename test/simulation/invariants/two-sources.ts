import { reasons } from '../faults/causes.ts';
import type { Invariant } from './invariant.ts';

/** Calls that ACTIVE does not undo, beside the node's end (healthy-stays.ts). */
const irrevocable = new Set(['stopTask', 'deregisterTarget', 'deregisterFromLoadBalancer', 'deregister']);

/** A departure with a real cause can continue this long after the cause has ended. */
const underWayMs = 3_600_000;

export const twoSources: Invariant = {
  name: 'two sources',
  sentence:
    'No node loses a target registration, its record or a task because the metadata service alone announces its end.',
  onCall(region, node, { verb, process }) {
    if (!irrevocable.has(verb) || process.name !== 'agent') return undefined;
    const why = reasons(node, region.clock.uptime(), underWayMs);
    if (why.length === 0 || why.some((reason) => reason !== 'lie')) return undefined;
    return `${verb} on the word of one source`;
  },
};
