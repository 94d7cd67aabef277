/** Gathers the configuration from all its sources, weakest first, and checks it once: every fault of every source together. */

import { isSection, parseConfig, type Config } from '../core/config.ts';
import { ConfigError, type Fault } from '../core/errors.ts';
import type { Machine } from '../core/host.ts';
import type { Log } from '../core/log.ts';
import { isPlain, mergeLayers, type Layer, type Merged } from '../core/settings.ts';
import { faultsOfRemote } from '../core/remote-settings.ts';
import { layersOf, readFiles, type Found } from './sources/files.ts';

export interface Loaded extends Merged {
  config: Config;
}

const nothing: Found = { layers: [], faults: [] };

/** `outside` is what tags and user data say; without it, nothing but the node's own files and the flags count. */
export function settle(files: Found, flags: readonly Layer[], outside: Found = nothing): Loaded {
  const own = [...outside.layers, ...files.layers, ...flags];
  const remote = remoteOf(files, mergeLayers(own, isSection));
  const at = outside.layers.length + remote.behind;
  const merged = mergeLayers([...own.slice(0, at), ...remote.layers, ...own.slice(at)], isSection);
  const broken = [...outside.faults, ...files.faults, ...remote.faults];
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

/**
 * As `settle`, for a node that must live: when what was pulled from elsewhere makes no valid configuration with the node's own files
 * (another version of this program knows other settings), those count alone, since they are whole by themselves.
 */
export function settleSafely(files: Found, flags: readonly Layer[], outside: Found, log: Log): Loaded {
  try {
    return settle(files, flags, outside);
  } catch (error) {
    if (!(error instanceof ConfigError) || files.remote === undefined) throw error;
    const loaded = settle(ownOnly(files), flags, outside);
    log.error('pulled configuration not used', { error: error.message });
    return loaded;
  }
}

export function ownOnly({ layers, faults }: Found): Found {
  return { layers, faults };
}

/** What was pulled, as far as this node is configured to pull; each setting that it may not carry is a fault. */
function remoteOf(files: Found, { settings }: Merged): NonNullable<Found['remote']> {
  const refresh = settings['refresh'];
  if (files.remote === undefined || !isPlain(refresh) || typeof refresh['source'] !== 'string')
    return { layers: [], faults: [], behind: 0 };
  const also = Array.isArray(refresh['also']) ? refresh['also'].filter((each) => typeof each === 'string') : [];
  const { layers, faults, behind } = files.remote;
  return { layers, behind, faults: [...faults, ...layers.flatMap((layer) => faultsOfRemote(layer, also))] };
}

/** Throws what is wrong already; what is merely missing may still come from tags or user data: true then. */
export function lacksOutside(files: Found, flags: readonly Layer[]): boolean {
  try {
    // Nothing that is required may come from elsewhere.
    settle(ownOnly(files), flags);
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
  return { ...found, faults: [...faults, ...found.faults] };
}
