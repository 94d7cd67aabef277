/**
 * Reads the name of this node's Auto Scaling group from its tags. This spares Auto Scaling a call
 * from each node when a whole group launches at once.
 */

import type { Host } from '../core/host.ts';
import { withTimeout } from '../core/retry.ts';

/** Auto Scaling sets it on each instance of a group. No user can set it. */
export const groupTag = 'aws:autoscaling:groupName';

/** The metadata service answers in milliseconds, or not at all. */
const tagMs = 5_000;

/**
 * Undefined when the metadata service does not answer, or shows no tags or no such tag. The caller
 * then asks Auto Scaling itself.
 */
export async function readGroupTag(
  { metadata, clock }: Pick<Host, 'metadata' | 'clock'>,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    return (
      (await withTimeout(tagMs, (callSignal) => metadata.readTag(groupTag, callSignal), clock, signal)) || undefined
    );
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
