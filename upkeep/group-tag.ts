/**
 * Reads the name of this node's Auto Scaling group from its tags. This spares Auto Scaling a call
 * from each node when a whole group launches at once.
 */

import { Refused, Unavailable } from '../core/errors.ts';
import type { Host, Membership } from '../core/host.ts';
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

/**
 * This node's group. One empty answer of Auto Scaling must not take a node out of its storm guard
 * and past its hooks, so "in no group" counts only if no tag of EC2 names a group. A role that may
 * not read the tags has only Auto Scaling's answer.
 */
export async function readMembership(
  { cloud }: Pick<Host, 'cloud'>,
  signal: AbortSignal,
): Promise<Membership | undefined> {
  const membership = await cloud.readMembership(signal);
  if (membership !== undefined) return membership;
  const tags = await cloud.readOwnTags(signal).catch((error: unknown) => {
    if (!(error instanceof Refused)) throw error;
    return {};
  });
  const tagged = (tags as Record<string, string>)[groupTag];
  if (tagged === undefined) return undefined;
  throw new Unavailable(`Auto Scaling says that this instance is in no group, and its tag names ${tagged}`);
}
