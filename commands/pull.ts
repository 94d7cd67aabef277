/** Pulls the configuration for whoever is about to use it, and judges it together with all that this node says itself. */

import type { Config } from '../core/config.ts';
import type { Cloud, Machine } from '../core/host.ts';
import type { Log } from '../core/log.ts';
import { pullConfiguration } from '../upkeep/refresh.ts';
import { settle, settleSafely } from './load-config.ts';
import { layersOf, readFiles, remoteTexts, withRemote } from './sources/files.ts';
import type { Outside } from './sources/outside.ts';
import type { Layer } from '../core/settings.ts';

export interface Sources {
  machine: Machine;
  configFile: string;
  configFileGiven: boolean;
  log: Log;
  flags: readonly Layer[];
  outside: Outside;
}

/** What counts now; what was pulled is left out where it makes no valid configuration with the rest. */
export async function readSettled({ flags, outside, log, ...place }: Sources): Promise<Config> {
  const { texts, faults } = await readFiles(place.machine, place.configFile, place.configFileGiven, log);
  const found = layersOf(texts);
  return settleSafely({ ...found, faults: [...faults, ...found.faults] }, flags, outside, log).config;
}

/** Throws ConfigError for documents that are not valid together with the node's own files: nothing has changed then. */
export async function pullFor(
  sources: Sources,
  source: string,
  cloud: Cloud,
  signal: AbortSignal,
): Promise<'changed' | 'unchanged'> {
  const { machine, configFile, configFileGiven, log, flags, outside } = sources;
  const { texts, faults } = await readFiles(machine, configFile, configFileGiven, log);
  return pullConfiguration(
    { machine, cloud },
    source,
    async (from, documents) => {
      const found = layersOf(withRemote(texts, configFile, remoteTexts(from, documents)));
      settle({ ...found, faults: [...faults, ...found.faults] }, flags, outside);
    },
    signal,
  );
}
