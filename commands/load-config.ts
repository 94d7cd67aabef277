/** Gathers the configuration from all its sources, weakest first, and checks it once: every fault of every source together. */

import { isSection, parseConfig, type Config } from '../core/config.ts';
import { ConfigError, type Fault } from '../core/errors.ts';
import type { Machine } from '../core/host.ts';
import type { Log } from '../core/log.ts';
import { mergeLayers, type Layer, type Merged } from '../core/settings.ts';
import { layersOf, readFiles, type Found } from './sources/files.ts';

export interface Loaded extends Merged {
  config: Config;
}

const nothing: Found = { layers: [], faults: [] };

/** `outside` is what tags and user data say; without it, nothing but the node's own files and the flags count. */
export function settle(files: Found, flags: readonly Layer[], outside: Found = nothing): Loaded {
  const merged = mergeLayers([...outside.layers, ...files.layers, ...flags], isSection);
  const broken = [...outside.faults, ...files.faults];
  let faults: readonly Fault[] = [];
  try {
    const config = parseConfig(merged.settings, merged.sourceOf);
    if (broken.length === 0) return { ...merged, config };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    // What is missing may stand in the file that cannot be read.
    faults = broken.length === 0 ? error.faults : error.faults.filter(({ missing }) => missing !== true);
  }
  throw new ConfigError([...broken, ...faults]);
}

/** Throws what is wrong already; what is merely missing may still come from tags or user data: true then. */
export function lacksOutside(files: Found, flags: readonly Layer[]): boolean {
  try {
    settle(files, flags);
    return false;
  } catch (error) {
    if (error instanceof ConfigError && error.faults.every(({ missing }) => missing === true)) return true;
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.faults.filter(({ missing }) => missing !== true));
  }
}

/** Where the command line's configuration file lies. */
interface Place {
  configFile: string;
  configFileGiven: boolean;
  log: Log;
}

/** What the node's files say, broken ones included. */
export async function readFileLayers(machine: Machine, { configFile, configFileGiven, log }: Place): Promise<Found> {
  const { texts, faults } = await readFiles(machine, configFile, configFileGiven, log);
  const found = layersOf(texts);
  return { layers: found.layers, faults: [...faults, ...found.faults] };
}
