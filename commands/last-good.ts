/**
 * The last valid configuration of this boot. A restarted agent uses it when a file or a tag has
 * become invalid meanwhile. A node without its agent would miss spot notices.
 */

import { parseConfig, settingsOf, type Config } from '../config/config.ts';
import { ConfigError, Unavailable, messageOf } from '../core/errors.ts';
import type { Host, Machine } from '../core/host.ts';
import type { Log } from '../core/log.ts';
import { isPlain } from '../config/settings.ts';
import { layersOfTags, readOutside, type Outside, type TagLayer } from '../config/sources/tags-and-user-data.ts';
import { paths } from '../core/state/state.ts';

/** It may hold passwords of registries. */
const mode = 0o600;

/** Never throws: a failure to write the disk must not stop the agent. */
export async function keepLastGood(
  machine: Machine,
  config: Config,
  { layers, tags }: Pick<Outside, 'layers' | 'tags'>,
  log: Log,
): Promise<void> {
  const kept = {
    config: settingsOf(config),
    ...(layers.length > 0 && { userData: true }),
    ...(tags.length > 0 && { tags: Object.fromEntries(tags.map(({ key, value }) => [key, value])) }),
  };
  try {
    await machine.writeText(paths.lastGood, `${JSON.stringify(kept)}\n`, mode);
  } catch (error) {
    log.warn('last good configuration not kept', { error: messageOf(error) });
  }
}

/** Undefined when it does not exist, or when this version of the program does not accept it. */
export async function readLastGood(machine: Machine): Promise<Config | undefined> {
  try {
    const value: unknown = JSON.parse((await machine.readText(paths.lastGood)) ?? 'null');
    return isPlain(value) ? parseConfig(value['config']) : undefined;
  } catch (error) {
    if (error instanceof ConfigError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * As `readOutside`, but one 404 must not take settings from a node that runs. EC2 changes user data
 * only while the instance is stopped. So this throws Unavailable when an earlier run in this boot
 * found settings in the user data and there are none now. A person may hide the tags while the node
 * runs, so the tags that an earlier run in this boot has seen still count.
 */
export async function readOutsideInThisBoot(
  { machine, metadata }: Pick<Host, 'machine' | 'metadata'>,
  signal: AbortSignal,
): Promise<Outside> {
  const outside = await readOutside(metadata, signal);
  const earlier = await readEarlier(machine);
  if (earlier.hadUserData && outside.layers.length === 0 && outside.faults.length === 0)
    throw new Unavailable(
      'the metadata service lists no settings in the user data, which had some earlier in this boot',
    );
  if (outside.hidesTags !== true || earlier.tags.length === 0) return outside;
  const problem = 'it shows no tags any more; the tags from earlier in this boot still count';
  return {
    ...outside,
    tags: earlier.tags,
    warnings: [...outside.warnings, { path: 'the metadata service', problem }],
  };
}

/** The findings of an earlier run in this boot outside of the files. */
async function readEarlier(machine: Machine): Promise<{ hadUserData: boolean; tags: TagLayer[] }> {
  try {
    const kept: unknown = JSON.parse((await machine.readText(paths.lastGood)) ?? 'null');
    const { userData, tags } = isPlain(kept) ? kept : {};
    const texts = Object.entries(isPlain(tags) ? tags : {}).filter(([, value]) => typeof value === 'string');
    return {
      hadUserData: userData === true,
      tags: layersOfTags(Object.fromEntries(texts) as Record<string, string>).tags,
    };
  } catch {
    return { hadUserData: false, tags: [] };
  }
}
