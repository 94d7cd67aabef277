/** Reads the configuration's files: config.yaml and its drop-ins. */

import { ConfigError, type Fault } from '../../core/errors.ts';
import type { Machine } from '../../core/host.ts';
import type { Log } from '../../core/log.ts';
import { parseLayer, type Layer } from '../../core/settings.ts';
import { paths } from '../../core/state.ts';

/** What a group of sources says, and what of it cannot be read: told together with all other faults. */
export interface Found {
  layers: Layer[];
  faults: Fault[];
}

export interface FileText {
  path: string;
  text: string;
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
  for (const name of await machine.list(paths.dropIns)) {
    // A backup that an editor left behind must not count; one that looks like a drop-in should not be lost silently.
    if (name.endsWith('.yaml') && !name.startsWith('.')) await read(`${paths.dropIns}/${name}`, false);
    else if (/\.(yml|json)$/.test(name))
      log.warn('file ignored: its name must end in .yaml', { path: `${paths.dropIns}/${name}` });
  }
  return { texts, faults };
}

export function layersOf(texts: readonly FileText[]): Found {
  const found: Found = { layers: [], faults: [] };
  for (const { path, text } of texts) {
    try {
      found.layers.push(parseLayer(text, path));
    } catch (error) {
      found.faults.push(...faultsIn(error));
    }
  }
  return found;
}

/** Faults of a ConfigError; everything else is thrown on. */
export function faultsIn(error: unknown): readonly Fault[] {
  if (error instanceof ConfigError) return error.faults;
  throw error;
}
