/**
 * Reads this node's Auto Scaling group. Its name is also in the node's tags, which spares Auto
 * Scaling a call from each node when a whole group launches at once.
 */

import { Unavailable, unlessRefused } from '../core/errors.ts';
import type { Host, Membership } from '../core/host.ts';
import { openLasting } from '../core/lasting.ts';
import { propagationMs, withTimeout } from '../core/retry.ts';

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
 * The name of the group from the metadata service or, where it shows none, from EC2. Rejects where
 * EC2 does not tell the tags.
 */
export async function findGroupTag(
  host: Pick<Host, 'metadata' | 'cloud' | 'clock'>,
  signal: AbortSignal,
): Promise<string | undefined> {
  return (await readGroupTag(host, signal)) ?? (await host.cloud.readOwnTags(signal))[groupTag];
}

/**
 * This node's group. One empty answer of Auto Scaling must not take a node out of its storm guard
 * and past its hooks. So "in no group" counts only if it lasts, and if no tag names a group. A role
 * that may not read the tags has only Auto Scaling's answer. A node in no group waits for
 * `propagationMs`.
 */
export async function readMembership(
  host: Pick<Host, 'metadata' | 'cloud' | 'clock'>,
  signal: AbortSignal,
): Promise<Membership | undefined> {
  const { cloud, clock } = host;
  const lasts = openLasting(clock, propagationMs);
  for (;;) {
    const membership = await cloud.readMembership(signal);
    if (membership !== undefined) return membership;
    const tagged = await findGroupTag(host, signal).catch(unlessRefused);
    if (tagged !== undefined)
      throw new Unavailable(`Auto Scaling says that this instance is in no group, and its tag names ${tagged}`);
    if (lasts(true)) return undefined;
    await clock.sleep(propagationMs, signal);
  }
}
