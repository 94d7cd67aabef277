/** Reads the settings in the instance's tags and in its user data. */

import { isSection } from '../config.ts';
import { tagSettings } from '../schema.ts';
import type { Fault } from '../../core/errors.ts';
import type { Metadata } from '../../core/host.ts';
import type { UserDataPart } from '../../core/state/state.ts';
import { closestMatch } from '../../core/closest-match.ts';
import { layerOf, type SettingsLayer } from '../settings.ts';
import { faultsIn, parseLayers } from './files.ts';
import { findConfiguration } from './user-data.ts';

const prefix = 'ecs-node:';

/** Settings from outside the node's own files. */
export interface Outside {
  /** One layer a tag, weaker than `layers`: load-config.ts decides which of them count. */
  tags: TagLayer[];
  /** The metadata service shows no tags at all, by choice or for a moment. */
  hidesTags?: true;
  /** Known tags among `tags` of which the list says something else. */
  doubted?: Record<string, DoubtedTag>;
  /** Known tags that no list has shown for so long that a person has removed them. */
  removed?: readonly string[];
  layers: SettingsLayer[];
  /** The parts of the user data that hold `layers`. */
  userData?: UserDataPart[];
  /** The instance has no user data, or the answer was lost for a moment. */
  lacksUserData?: true;
  /** `layers` are those of an earlier boot. */
  isCopy?: true;
  faults: Fault[];
  /** Parts that were not understood. They keep no node from booting. */
  warnings: Fault[];
}

/** The list lacks a known tag, or gives it another value. */
export interface DoubtedTag {
  /** The uptime of the first list that said so. */
  since: number;
  /** The other value. */
  value?: string;
}

export interface TagLayer extends SettingsLayer {
  setting: string;
  /** The tag: `ecs-node:cluster`. */
  key: string;
  value: string;
  /** `tag ecs-node:cluster`, as faults name it. */
  source: string;
}

/** Throws Unavailable when the metadata service does not answer. */
export async function readOutside(metadata: Metadata, signal: AbortSignal): Promise<Outside> {
  const shown = await metadata.readTags(signal, prefix);
  const { tags, warnings } = layersOfTags(shown ?? {});
  const userData = layersOfUserData(await metadata.readUserData(signal));
  return {
    ...userData,
    tags,
    ...(shown === undefined && { hidesTags: true }),
    warnings: [...warnings, ...userData.warnings],
  };
}

/**
 * A person who may tag an instance must not be able to stop it from booting: a tag with a fault is
 * a warning. Tags that resemble no setting are people's own, or were written by a node about
 * itself.
 */
export function layersOfTags(tags: Readonly<Record<string, string>>): Pick<Outside, 'tags' | 'warnings'> {
  const found: Pick<Outside, 'tags' | 'warnings'> = { tags: [], warnings: [] };
  for (const [key, value] of Object.entries(tags)) {
    if (!key.startsWith(prefix)) continue;
    const setting = key.slice(prefix.length);
    const source = `tag ${key}`;
    const fault = faultOfTag(setting);
    if (fault !== undefined) found.warnings.push({ path: source, problem: fault });
    else if (isTagSetting(setting)) {
      const layer = layerOf(setting.split('.'), value, source);
      found.tags.push({ ...layer, setting, key, value, source });
    }
  }
  return found;
}

function faultOfTag(setting: string): string | undefined {
  if (isTagSetting(setting)) return undefined;
  const closest = closestMatch(setting, tagSettings);
  if (closest !== undefined) return `unknown setting; did you mean ${prefix}${closest}?`;
  const [section = ''] = setting.split('.');
  if (setting === section || !isSection([section])) return undefined;
  return `cannot be set by a tag: a person who may tag an instance must not control it; tags may set ${tagSettings.join(', ')}`;
}

function isTagSetting(setting: string): boolean {
  return (tagSettings as readonly string[]).includes(setting);
}

/** Settings that are ours but broken are faults, as in a file. */
export function layersOfUserData(userData: Uint8Array | undefined): Omit<Outside, 'tags'> {
  // EC2 has no empty user data.
  if (userData === undefined || userData.length === 0)
    return { lacksUserData: true, layers: [], faults: [], warnings: [] };
  try {
    const { texts, warnings } = findConfiguration(userData);
    const parts = texts.map(({ name, text }) => ({ path: name, text }));
    return { ...parseLayers(parts), userData: parts, warnings };
  } catch (error) {
    return { layers: [], faults: [...faultsIn(error)], warnings: [] };
  }
}
