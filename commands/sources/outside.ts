/** Reads what the instance's tags and its user data say about the configuration. */

import { isSection } from '../../core/config.ts';
import { tagSettings } from '../../core/schema.ts';
import type { Fault } from '../../core/errors.ts';
import type { Metadata } from '../../core/host.ts';
import { nearest } from '../../core/nearest.ts';
import { layerOf, parseLayer } from '../../core/settings.ts';
import { faultsIn, type Found } from './files.ts';
import { findConfiguration } from './user-data.ts';

const prefix = 'ecs-node:';

/** Weakest first: tags, then the user data. Throws Unavailable when the metadata service does not answer. */
export async function readOutside(metadata: Metadata, signal: AbortSignal): Promise<Found> {
  const tags = layersOfTags((await metadata.readTags(signal, prefix)) ?? {});
  const userData = layersOfUserData(await metadata.readUserData(signal));
  return { layers: [...tags.layers, ...userData.layers], faults: [...tags.faults, ...userData.faults] };
}

export function layersOfTags(tags: Readonly<Record<string, string>>): Found {
  const found: Found = { layers: [], faults: [] };
  for (const [key, value] of Object.entries(tags)) {
    if (!key.startsWith(prefix)) continue;
    const setting = key.slice(prefix.length);
    const fault = faultOfTag(setting);
    if (fault !== undefined) found.faults.push({ path: `tag ${key}`, problem: fault });
    else if (isTagSetting(setting)) found.layers.push(layerOf(setting.split('.'), value, `tag ${key}`));
  }
  return found;
}

/** Tags that resemble no setting are people's own, or what a node wrote about itself. */
function faultOfTag(setting: string): string | undefined {
  if (isTagSetting(setting)) return undefined;
  const near = nearest(setting, tagSettings);
  if (near !== undefined) return `unknown setting; did you mean ${prefix}${near}?`;
  const [section = ''] = setting.split('.');
  if (setting === section || !isSection([section])) return undefined;
  return `cannot be set by a tag, since whoever may tag an instance must not rule it; tags may set ${tagSettings.join(', ')}`;
}

function isTagSetting(setting: string): boolean {
  return (tagSettings as readonly string[]).includes(setting);
}

function layersOfUserData(userData: Uint8Array | undefined): Found {
  const faults: Fault[] = [];
  try {
    const texts = userData === undefined ? [] : findConfiguration(userData);
    return { layers: texts.map((text) => parseLayer(text, 'user data')), faults };
  } catch (error) {
    return { layers: [], faults: [...faultsIn(error)] };
  }
}
