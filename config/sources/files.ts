/** Reads the configuration's files: config.yaml and its drop-ins. */

import { ConfigError, messageOf, Unavailable, type Fault } from '../../core/errors.ts';
import type { Machine } from '../../core/host.ts';
import type { Log } from '../../core/log.ts';
import { parseLayer, type SettingsLayer } from '../settings.ts';
import { paths } from '../../core/state/state.ts';
import { parseRefreshed, type PulledDocument } from '../remote/refreshed.ts';

/** The settings in a group of sources. Sources that cannot be read become faults. */
export interface LoadedLayers {
  layers: SettingsLayer[];
  faults: Fault[];
  /**
   * From pulled documents. They are stronger than the first `behind` layers, and weaker than the
   * rest.
   */
  remote?: { layers: SettingsLayer[]; faults: Fault[]; behind: number };
  /** Why it is not known which documents were pulled: their file is damaged, or not readable. */
  unread?: string;
  /** The node was in service with these files: entries of lists that are refused are left out. */
  mayLackEntries?: boolean;
}

export interface FileText {
  path: string;
  text: string;
  /** True for a document that was pulled from `refresh.source`. */
  isRemote?: true;
}

/** `isRequired`: the command line names the file, so it must exist. */
export async function readFiles(
  machine: Machine,
  configFile: string,
  isRequired: boolean,
  log: Log,
): Promise<{ texts: FileText[]; faults: Fault[]; unread?: string }> {
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
  // Pulled documents are stronger than config.yaml, which the whole fleet has from its image, and
  // weaker than the drop-ins that people put on this one node.
  const { documents, unread } = await readRemote(machine, log);
  texts.push(...documents);
  for (const name of await machine.list(paths.dropIns)) {
    // An editor's backup must not count. A file that looks like a drop-in is reported, not silently
    // ignored.
    if (name.endsWith('.yaml') && !name.startsWith('.')) await read(`${paths.dropIns}/${name}`, false);
    else if (/\.(yml|json)$/.test(name))
      log.warn('file ignored: its name must end in .yaml', { path: `${paths.dropIns}/${name}` });
  }
  return { texts, faults, ...(unread !== undefined && { unread }) };
}

/**
 * When the file of pulled documents cannot be read, the node pulls them again. That is no fault of
 * the configuration.
 */
async function readRemote(machine: Machine, log: Log): Promise<{ documents: FileText[]; unread?: string }> {
  try {
    const text = await machine.readText(paths.refreshed);
    if (text === undefined) return { documents: [] };
    const refreshed = parseRefreshed(text);
    if (refreshed === undefined) throw new Unavailable(`${paths.refreshed}: is damaged`);
    return { documents: remoteTexts(refreshed.source, refreshed.good) };
  } catch (error) {
    const unread = messageOf(error);
    log.warn('pulled configuration not read', { error: unread });
    return { documents: [], unread };
  }
}

/** Each document under its full name at the source. */
export function remoteTexts(source: string, documents: readonly PulledDocument[]): FileText[] {
  const folder = source.replace(/\/*$/, '/');
  return documents.map(({ name, text }) => ({ path: `${folder}${name}`, text, isRemote: true as const }));
}

/** The texts with `remote` in the place of the documents that were pulled before. */
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

/** A text that cannot be read becomes faults. The layers of the other texts remain. */
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

/** The faults of a ConfigError. Every other error is thrown again. */
export function faultsIn(error: unknown): readonly Fault[] {
  if (error instanceof ConfigError) return error.faults;
  throw error;
}
