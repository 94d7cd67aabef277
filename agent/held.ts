/**
 * Whether a person has taken this node out of automatic care. No watcher then drains or terminates
 * it.
 */

import { Refused } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { callOnce } from './calls.ts';
import { isHeldState } from './lifecycle-states.ts';

/** Any value counts, also an empty one. `ecs-node sweep` respects the same tag. */
const keepTag = 'ecs-node:keep';

/** The metadata service answers in milliseconds. */
const metadataMs = 2_000;

/**
 * The reason why the node is held, for people; undefined when nothing holds it. Throws when no
 * source could be asked. The target state and the tags in the metadata cost no AWS call; AWS is
 * asked where they are missing.
 */
export async function findHolder(host: Host, signal: AbortSignal): Promise<string | undefined> {
  const { metadata, cloud } = host;
  const target = await callOnce(host, signal, (callSignal) => metadata.readTargetState(callSignal), metadataMs);
  if (target !== undefined && isHeldState(target)) return `the node is ${target} in its group`;
  const shown = await callOnce(host, signal, (callSignal) => metadata.readTags(callSignal, keepTag), metadataMs);
  const tags =
    shown ?? (await callOnce(host, signal, (callSignal) => cloud.readOwnTags(callSignal)).catch(unlessRefused));
  if (tags?.[keepTag] !== undefined) return `the instance has the tag ${keepTag}`;
  if (target !== undefined) return undefined;
  const membership = await callOnce(host, signal, (callSignal) => cloud.readMembership(callSignal)).catch(
    unlessRefused,
  );
  if (membership !== undefined && isHeldState(membership.lifecycleState))
    return `the node is ${membership.lifecycleState} in its group`;
  return undefined;
}

/** Without the permission, only the metadata's answer is left. */
function unlessRefused(error: unknown): undefined {
  if (!(error instanceof Refused)) throw error;
  return undefined;
}
