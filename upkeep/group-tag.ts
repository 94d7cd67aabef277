/**
 * The name of this node's Auto Scaling group, as its tags say it: a group that is launched at once
 * keeps Auto Scaling busy enough.
 */

import type { Host } from '../core/host.ts';
import { withTimeout } from '../core/retry.ts';

/** Auto Scaling sets it on each instance of a group, and nobody else can. */
export const groupTag = 'aws:autoscaling:groupName';

/** Metadata answers in milliseconds, or not at all. */
const tagMs = 5_000;

/**
 * Undefined where the metadata service shows no tags, or none such, or does not answer: Auto
 * Scaling itself is asked then.
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
