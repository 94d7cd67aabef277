/**
 * Pulls documents of the configuration, and checks them together with the node's own settings. Used
 * by `bootstrap` and `refresh`.
 */

import type { Config } from '../config.ts';
import type { Cloud, Machine } from '../../core/host.ts';
import type { Clock } from '../../core/retry.ts';
import type { Log } from '../../core/log.ts';
import { pullConfiguration } from './refresh.ts';
import { resolveConfig, resolveConfigOrOwn } from '../load-config.ts';
import { layersOf, readFiles, remoteTexts, withRemote } from '../sources/files.ts';
import type { Outside } from '../sources/tags-and-user-data.ts';
import type { SettingsLayer } from '../settings.ts';

export interface ConfigSources {
  machine: Machine;
  clock: Clock;
  configFile: string;
  configFileGiven: boolean;
  log: Log;
  flags: readonly SettingsLayer[];
  outside: Outside;
  mayLackEntries?: boolean;
}

/**
 * The configuration that counts now. Pulled documents are left out when they make no valid
 * configuration with the rest.
 */
export async function readResolvedConfig({
  flags,
  outside,
  log,
  mayLackEntries = false,
  ...files
}: ConfigSources): Promise<Config> {
  const { texts, faults } = await readFiles(files.machine, files.configFile, files.configFileGiven, log);
  const found = layersOf(texts);
  const layers = { ...found, faults: [...faults, ...found.faults], mayLackEntries };
  return resolveConfigOrOwn(layers, flags, outside, log).config;
}

/**
 * Throws ConfigError, and changes nothing, for documents that are not valid together with the
 * node's own files.
 */
export async function pullFor(
  sources: ConfigSources,
  source: string,
  cloud: Cloud,
  signal: AbortSignal,
): Promise<'changed' | 'unchanged'> {
  const { machine, configFile, configFileGiven, log, flags, outside, clock } = sources;
  const { texts, faults } = await readFiles(machine, configFile, configFileGiven, log);
  return pullConfiguration(
    { machine, cloud, log, clock },
    source,
    async (from, documents) => {
      const found = layersOf(withRemote(texts, configFile, remoteTexts(from, documents)));
      resolveConfig({ ...found, faults: [...faults, ...found.faults] }, flags, outside);
    },
    signal,
  );
}
