/**
 * Finds out whether a person has taken this node out of automatic care. The node then neither
 * drains nor ends itself for its own troubles, for maintenance or for a rebalance recommendation.
 * Scale-in, spot and `ecs-node leave` still count.
 */

import { Refused, Unavailable, messageOf, unlessRefused } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { groupTag, readMembership } from '../upkeep/group-tag.ts';
import { callOnce } from './calls.ts';
import { isHeldState } from './lifecycle-states.ts';
import { readRequest } from './request.ts';

/** Any value counts, also an empty one. `ecs-node sweep` respects the same tag. */
const keepTag = 'ecs-node:keep';

const heldWords = 'a person holds this node';

/** The denial of a departure of a held node. It is also kept for the next process. */
export function heldBy(holder: string): string {
  return `${heldWords}: ${holder}`;
}

export function isHeldBy(denial: string | undefined): boolean {
  return denial?.startsWith(heldWords) === true;
}

/** The metadata service and the disk answer in milliseconds. */
const localMs = 2_000;

/**
 * The reason why the node is held, for people; undefined when nothing holds it. Throws when no
 * source gave a whole answer, or the operator's request was not read. The target state and the tags
 * in the metadata cost no AWS call; AWS is asked where they are missing. `beforeEnd`: AWS is always
 * asked, because the metadata may be stale. A role that may not read the tags then throws, because
 * not knowing is no reason to end the node. `readGroup`: the caller's answer, for one call less.
 */
export async function findHolder(
  host: Host,
  beforeEnd: boolean,
  signal: AbortSignal,
  readGroup = (callSignal: AbortSignal) => callOnce(host, callSignal, (each) => readMembership(host, each)),
): Promise<string | undefined> {
  const { metadata } = host;
  const request = await callOnce(host, signal, () => readRequest(host), localMs);
  if (request?.action === 'leave' && !request.terminate) return 'a person drained it to stay (--no-terminate)';
  const target = await callOnce(host, signal, (callSignal) => metadata.readTargetState(callSignal), localMs);
  if (target !== undefined && isHeldState(target)) return `the node is ${target} in its group`;
  const shown = await callOnce(host, signal, (callSignal) => metadata.readTags(callSignal, keepTag), localMs);
  const isKept = `the instance has the tag ${keepTag}`;
  if (shown?.[keepTag] !== undefined) return isKept;
  // The metadata service alone may leave the tag out. It counts where the role may not ask EC2.
  const isShown = shown !== undefined;
  const listed = isShown && !beforeEnd ? undefined : await readOwnTags(host, isShown, beforeEnd, signal);
  if (listed?.[keepTag] !== undefined) return isKept;
  // A role that may not ask Auto Scaling has only the metadata's answer.
  const membership = target === undefined || beforeEnd ? await readGroup(signal).catch(unlessRefused) : undefined;
  if (membership !== undefined && isHeldState(membership.lifecycleState))
    return `the node is ${membership.lifecycleState} in its group`;
  // Auto Scaling tags each member of a group. A list without that tag may lack the other one, too.
  const isMember = target !== undefined || membership !== undefined;
  if (isMember && listed !== undefined && listed[groupTag] === undefined)
    throw new Unavailable(`ec2:DescribeTags: the answer lacks the tag ${groupTag} of a member of a group`);
  return undefined;
}

async function readOwnTags(host: Host, isShown: boolean, beforeEnd: boolean, signal: AbortSignal) {
  try {
    return await callOnce(host, signal, (callSignal) => host.cloud.readOwnTags(callSignal));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (isShown) return undefined;
    const why = `unknown whether the instance has the tag ${keepTag}: allow ec2:DescribeTags, or show the tags in the metadata: ${messageOf(error)}`;
    if (beforeEnd)
      throw new Refused(`the node does not end itself: ${why}`, {
        cause: error,
        ...(error.code && { code: error.code }),
      });
    host.log.warn(why);
    return undefined;
  }
}
