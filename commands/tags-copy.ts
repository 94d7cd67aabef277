/**
 * A copy of the settings in the tags survives a reboot. At a boot, the metadata service may hide
 * the tags for a moment, and the agent would work with another lifecycle hook until the next boot.
 */

import { isDeepStrictEqual } from 'node:util';
import { layersOfTags, type Outside, type TagLayer } from '../config/sources/tags-and-user-data.ts';
import { messageOf } from '../core/errors.ts';
import type { Machine } from '../core/host.ts';
import type { Log } from '../core/log.ts';
import { isInstanceTags } from '../core/state/state-shape.ts';
import { parseState, paths, renderState, type InstanceTags } from '../core/state/state.ts';

/** Empty without a copy of this instance: an image may hold the copy of another one. */
export async function readTagsCopy(machine: Machine, instanceId: string): Promise<TagLayer[]> {
  const content = await machine.readText(paths.tags).catch(() => undefined);
  return layersOfTags(parseState<InstanceTags>(content, instanceId, isInstanceTags)?.tags ?? {}).tags;
}

/** Call it with a valid configuration. Never throws: the copy must keep no node from booting. */
export async function keepTags(
  machine: Machine,
  instanceId: string,
  { tags }: Pick<Outside, 'tags'>,
  log: Log,
): Promise<void> {
  try {
    if (tags.length === 0) await machine.remove(paths.tags);
    else await machine.writeText(paths.tags, renderState({ instanceId, tags: recordOfTags(tags) }));
  } catch (error) {
    log.warn('copy of the tags not kept', { error: messageOf(error) });
  }
}

/**
 * Takes over into the copy which of its tags a person has removed or changed since the boot. Never
 * throws: the next boot would only doubt them again.
 */
export async function updateTags(
  machine: Machine,
  { tags: counting, removed = [] }: Pick<Outside, 'tags' | 'removed'>,
  log: Log,
): Promise<void> {
  if (counting.length === 0 && removed.length === 0) return;
  try {
    const found: unknown = JSON.parse((await machine.readText(paths.tags)) ?? 'null');
    if (!isInstanceTags(found)) return;
    const { instanceId, tags } = found as InstanceTags;
    const known = layersOfTags(tags).tags;
    const kept = known
      .filter(({ key }) => !removed.includes(key))
      .map((tag) => counting.find(({ key }) => key === tag.key) ?? tag);
    if (!isDeepStrictEqual(recordOfTags(kept), recordOfTags(known)))
      await keepTags(machine, instanceId, { tags: kept }, log);
  } catch (error) {
    log.warn('copy of the tags not kept', { error: messageOf(error) });
  }
}

export function recordOfTags(tags: readonly TagLayer[]): Record<string, string> {
  return Object.fromEntries(tags.map(({ key, value }) => [key, value]));
}
