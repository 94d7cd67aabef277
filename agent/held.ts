/** Whether a person has taken this node out of the machinery: then no watcher drains or ends it. */

import { Refused } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { callOnce } from './calls.ts';

/** Any value counts, also none; `ecs-node sweep` respects the same tag. */
const keepTag = 'ecs-node:keep';

/**
 * `Detached` keeps running outside its group, `Standby` inside it: both because a person said so.
 */
const heldState = /^(Entering)?Standby$|^Detach(ing|ed)$/;

/** For Auto Scaling's states and for its target states. */
export function isHeldState(state: string): boolean {
  return heldState.test(state);
}

/** Metadata answers in milliseconds. */
const metadataMs = 2_000;

/**
 * Who holds the node, for people; undefined when nobody does. Throws when nobody could be asked.
 * The target state and the tags in the metadata cost no call; AWS is asked where they are not
 * there.
 */
export async function findHolder(host: Host, signal: AbortSignal): Promise<string | undefined> {
  const { metadata, cloud } = host;
  const target = await callOnce(host, signal, (callSignal) => metadata.readTargetState(callSignal), metadataMs);
  if (target !== undefined && heldState.test(target)) return `the node is ${target} in its group`;
  const shown = await callOnce(host, signal, (callSignal) => metadata.readTags(callSignal, keepTag), metadataMs);
  const tags =
    shown ?? (await callOnce(host, signal, (callSignal) => cloud.readOwnTags(callSignal)).catch(unlessRefused));
  if (tags?.[keepTag] !== undefined) return `the instance has the tag ${keepTag}`;
  if (target !== undefined) return undefined;
  const membership = await callOnce(host, signal, (callSignal) => cloud.readMembership(callSignal)).catch(
    unlessRefused,
  );
  if (membership !== undefined && heldState.test(membership.lifecycleState))
    return `the node is ${membership.lifecycleState} in its group`;
  return undefined;
}

/** A role that may not ask has only the metadata's word. */
function unlessRefused(error: unknown): undefined {
  if (!(error instanceof Refused)) throw error;
  return undefined;
}
