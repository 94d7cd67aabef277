/**
 * Reads the configuration from all its sources, weakest first, and checks it once. It reports every
 * fault of every source together.
 */

import { isSection, parseConfig, parseWithoutEntries, type Config } from './config.ts';
import { ConfigError, type Fault } from '../core/errors.ts';
import type { Machine } from '../core/host.ts';
import type { Log } from '../core/log.ts';
import { isPlain, mergeLayers, type SettingsLayer, type Merged } from './settings.ts';
import { faultsOfRemote } from './remote/remote-settings.ts';
import { powerfulTagSettings } from './schema.ts';
import { layersOf, readFiles, type LoadedLayers } from './sources/files.ts';
import type { Outside, TagLayer } from './sources/tags-and-user-data.ts';

export interface Loaded extends Merged {
  config: Config;
  /** Parts of tags and user data that are not used because they were not understood. */
  warnings: Fault[];
}

const noLayers: Outside = { tags: [], layers: [], faults: [], warnings: [] };

/**
 * Without `outside`, only the node's own files and the flags count. Throws ConfigError with every
 * fault. A tag never causes one where the rest is valid without it: the tag is left out, with a
 * warning.
 */
export function resolveConfig(
  files: LoadedLayers,
  flags: readonly SettingsLayer[],
  outside: Outside = noLayers,
): Loaded {
  const { allowed, warnings } = tagsAllowed(files, flags, outside);
  const told = [...outside.warnings, ...warnings];
  const settleWith = (tags: readonly SettingsLayer[], more: readonly Fault[] = []): Loaded => {
    const { leftOut, ...settled } = settleLayers(files, flags, { ...outside, tags });
    const entries = leftOut.map(({ path, problem }) => ({ path, problem: `left out: ${problem}` }));
    return { ...settled, warnings: [...told, ...more, ...entries] };
  };
  try {
    return settleWith(allowed);
  } catch (error) {
    if (!(error instanceof ConfigError) || allowed.length === 0) throw error;
    const { faults } = error;
    const isNamed = ({ source }: TagLayer) => faults.some((fault) => fault.source === source);
    // The first attempt drops the tags that a fault names. A rule across settings may name none of
    // them, so the second attempt drops all tags.
    for (const kept of [allowed.filter((tag) => !isNamed(tag)), []]) {
      try {
        return settleWith(kept, ignoredTags(allowed, kept, faults));
      } catch (other) {
        if (!(other instanceof ConfigError)) throw other;
      }
    }
    throw error;
  }
}

function ignoredTags(allowed: readonly TagLayer[], kept: readonly TagLayer[], faults: readonly Fault[]): Fault[] {
  return allowed
    .filter((tag) => !kept.includes(tag))
    .map(({ source }) => {
      const own = faults.filter((fault) => fault.source === source);
      const why = (own.length > 0 ? own : faults).map(({ path, problem }) => `${path}: ${problem}`).join('; ');
      return { path: source, problem: `ignored: ${why}` };
    });
}

/**
 * The files decide which tags count (setting `tags`): a tag that runs an installer as root needs
 * their permission.
 */
function tagsAllowed(
  files: LoadedLayers,
  flags: readonly SettingsLayer[],
  { tags, layers }: Outside,
): { allowed: TagLayer[]; warnings: Fault[] } {
  if (tags.length === 0) return { allowed: [], warnings: [] };
  const { settings } = mergeLayers([...layers, ...files.layers, ...flags], isSection);
  const level = settings['tags'];
  if (level === 'ignore') return { allowed: [], warnings: [] };
  const isPowerful = ({ setting }: TagLayer) => (powerfulTagSettings as readonly string[]).includes(setting);
  const refused = level === 'all' ? [] : tags.filter(isPowerful);
  const problem =
    'ignored: it decides what runs on this node as root; set "tags: all" in the configuration to accept it from a tag';
  return {
    allowed: tags.filter((tag) => !refused.includes(tag)),
    warnings: refused.map(({ source }) => ({ path: source, problem })),
  };
}

function settleLayers(
  files: LoadedLayers,
  flags: readonly SettingsLayer[],
  outside: Pick<Outside, 'layers' | 'faults'> & { tags: readonly SettingsLayer[] },
): Omit<Loaded, 'warnings'> & { leftOut: readonly Fault[] } {
  const own = [...outside.tags, ...outside.layers, ...files.layers, ...flags];
  const remote = remoteOf(files, mergeLayers(own, isSection));
  const at = outside.tags.length + outside.layers.length + remote.behind;
  const merged = mergeLayers([...own.slice(0, at), ...remote.layers, ...own.slice(at)], isSection);
  const broken = [...outside.faults, ...files.faults, ...remote.faults];
  let faults: readonly Fault[] = [];
  try {
    const parsed = files.mayLackEntries
      ? parseWithoutEntries(merged.settings, merged.sourceOf)
      : { config: parseConfig(merged.settings, merged.sourceOf), leftOut: [] };
    if (broken.length === 0) return { ...merged, ...parsed };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    // A missing setting may be in the file that cannot be read.
    faults = broken.length === 0 ? error.faults : error.faults.filter(({ missing }) => missing !== true);
  }
  throw new ConfigError([...broken, ...faults]);
}

/**
 * As `resolveConfig`, for a node that must live. Pulled documents may be invalid beside the node's
 * own files, for example when another version of this program knows other settings. Then those that
 * a fault names are left out, and otherwise all of them: the node's own files are whole by
 * themselves.
 */
export function resolveConfigOrOwn(
  files: LoadedLayers,
  flags: readonly SettingsLayer[],
  outside: Outside,
  log: Log,
): Loaded {
  try {
    return resolveConfig(files, flags, outside);
  } catch (error) {
    if (!(error instanceof ConfigError) || files.remote === undefined) throw error;
    const loaded = resolveWithoutNamed(files, files.remote, flags, outside, error.faults);
    log.error('pulled configuration not used', { error: error.message });
    return loaded;
  }
}

function resolveWithoutNamed(
  files: LoadedLayers,
  remote: NonNullable<LoadedLayers['remote']>,
  flags: readonly SettingsLayer[],
  outside: Outside,
  faults: readonly Fault[],
): Loaded {
  const isNamed = ({ sourceOf }: SettingsLayer) =>
    faults.some(({ path, source }) => source !== undefined && sourceOf(path.split('.')) === source);
  const layers = remote.layers.filter((layer) => !isNamed(layer));
  try {
    return resolveConfig({ ...files, remote: { ...remote, layers, faults: [] } }, flags, outside);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return resolveConfig(ownLayers(files), flags, outside);
  }
}

/** Call it once per run: a refresh every few minutes must not repeat the warnings. */
export function logWarnings({ warnings }: Pick<Loaded, 'warnings'>, log: Log): void {
  for (const { path, problem } of warnings) log.warn('not used as configuration', { source: path, problem });
}

export function ownLayers(files: LoadedLayers): LoadedLayers {
  const { remote: _, ...own } = files;
  return own;
}

/**
 * The pulled documents, as far as this node is configured to pull. Each setting that they may not
 * carry is a fault.
 */
function remoteOf(files: LoadedLayers, { settings }: Merged): NonNullable<LoadedLayers['remote']> {
  const refresh = settings['refresh'];
  if (files.remote === undefined || !isPlain(refresh) || typeof refresh['source'] !== 'string')
    return { layers: [], faults: [], behind: 0 };
  const also = Array.isArray(refresh['also']) ? refresh['also'].filter((each) => typeof each === 'string') : [];
  const { layers, faults, behind } = files.remote;
  return { layers, behind, faults: [...faults, ...layers.flatMap((layer) => faultsOfRemote(layer, also))] };
}

/**
 * True when required settings are missing here: tags or user data may still supply them. Throws
 * ConfigError for every other fault.
 */
export function lacksOutside(files: LoadedLayers, flags: readonly SettingsLayer[]): boolean {
  try {
    // No required setting may come from a pulled document.
    resolveConfig(ownLayers(files), flags);
    return false;
  } catch (error) {
    if (error instanceof ConfigError && error.faults.every(({ missing }) => missing === true)) return true;
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.faults.filter(({ missing }) => missing !== true));
  }
}

interface FileSource {
  configFile: string;
  /** True where the command line names the file: then it must exist. */
  configFileGiven: boolean;
  log: Log;
}

/** The settings in the node's files. Files that cannot be read become faults. */
export async function readFileLayers(
  machine: Machine,
  { configFile, configFileGiven, log }: FileSource,
): Promise<LoadedLayers> {
  const { texts, faults, unread } = await readFiles(machine, configFile, configFileGiven, log);
  const found = layersOf(texts);
  return { ...found, faults: [...faults, ...found.faults], ...(unread !== undefined && { unread }) };
}
