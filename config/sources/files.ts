/** Reads the configuration's files: config.yaml and its drop-ins. */

import { ConfigError, messageOf, type Fault } from '../../core/errors.ts';
import type { Machine } from '../../core/host.ts';
import type { Log } from '../../core/log.ts';
import { parseLayer, type SettingsLayer } from '../settings.ts';
import { paths } from '../../core/state/state.ts';
import { parseRefreshed, type PulledDocument } from '../remote/refreshed.ts';

/**
 * What a group of sources says, and what of it cannot be read: told together with all other faults.
 */
export interface LoadedLayers {
  layers: SettingsLayer[];
  faults: Fault[];
  /** What was pulled from elsewhere; it belongs behind so many of the layers. */
  remote?: { layers: SettingsLayer[]; faults: Fault[]; behind: number };
}

export interface FileText {
  path: string;
  text: string;
  /** Not of this node: pulled from `refresh.source`. */
  isRemote?: true;
}

/** `isRequired`: a file that the command line names must be there. */
export async function readFiles(
  machine: Machine,
  configFile: string,
  isRequired: boolean,
  log: Log,
): Promise<{ texts: FileText[]; faults: Fault[] }> {
  const faults: Fault[] = [];
  const texts: FileText[] = [];
  const read = async (path: string, mustBe: boolean) => {
    try {
      const text = await machine.readText(path);
      if (text !== undefined) texts.push({ path, text });
      else if (mustBe) faults.push({ path, problem: 'there is no such file' });
    } catch (error) {
      faults.push(...faultsIn(error));
    }
  };
  await read(configFile, isRequired);
  // Stronger than config.yaml, which the whole fleet has from its image; weaker than what people
  // lay on this very node.
  texts.push(...(await readRemote(machine, log)));
  for (const name of await machine.list(paths.dropIns)) {
    // A backup that an editor left behind must not count; one that looks like a drop-in should not
    // be lost silently.
    if (name.endsWith('.yaml') && !name.startsWith('.')) await read(`${paths.dropIns}/${name}`, false);
    else if (/\.(yml|json)$/.test(name))
      log.warn('file ignored: its name must end in .yaml', { path: `${paths.dropIns}/${name}` });
  }
  return { texts, faults };
}

/**
 * A file of ours that cannot be read is no fault of the configuration: what it says is pulled anew.
 */
async function readRemote(machine: Machine, log: Log): Promise<FileText[]> {
  try {
    const refreshed = parseRefreshed(await machine.readText(paths.refreshed));
    return refreshed === undefined ? [] : remoteTexts(refreshed.source, refreshed.good);
  } catch (error) {
    log.warn('pulled configuration not read', { error: messageOf(error) });
    return [];
  }
}

/** Each under the name of where it came from. */
export function remoteTexts(source: string, documents: readonly PulledDocument[]): FileText[] {
  const folder = source.replace(/\/*$/, '/');
  return documents.map(({ name, text }) => ({ path: `${folder}${name}`, text, isRemote: true as const }));
}

/**
 * These instead of what was pulled before, at their place: stronger than config.yaml, weaker than
 * its drop-ins.
 */
export function withRemote(texts: readonly FileText[], configFile: string, remote: readonly FileText[]): FileText[] {
  const own = texts.filter(({ isRemote }) => isRemote !== true);
  const at = own[0]?.path === configFile ? 1 : 0;
  return [...own.slice(0, at), ...remote, ...own.slice(at)];
}

export function layersOf(texts: readonly FileText[]): LoadedLayers {
  const remote = texts.filter(({ isRemote }) => isRemote === true);
  const behind = texts.findIndex(({ isRemote }) => isRemote === true);
  const own = parseLayers(texts.filter(({ isRemote }) => isRemote !== true));
  if (remote.length === 0) return own;
  // A file that cannot be read has no layer.
  const before = parseLayers(texts.slice(0, behind)).layers.length;
  return { ...own, remote: { ...parseLayers(remote), behind: before } };
}

/** A text that cannot be read becomes faults beside the layers of the others. */
export function parseLayers(texts: readonly FileText[]): { layers: SettingsLayer[]; faults: Fault[] } {
  const layers: SettingsLayer[] = [];
  const faults: Fault[] = [];
  for (const { path, text } of texts) {
    try {
      layers.push(parseLayer(text, path));
    } catch (error) {
      faults.push(...faultsIn(error));
    }
  }
  return { layers, faults };
}

/** Faults of a ConfigError; everything else is thrown on. */
export function faultsIn(error: unknown): readonly Fault[] {
  if (error instanceof ConfigError) return error.faults;
  throw error;
}
