/**
 * The last valid configuration of this boot. A restarted agent uses it when a file or a tag has
 * become invalid meanwhile. A node without its agent would miss spot notices.
 */

import { parseConfig, settingsOf, type Config } from '../config/config.ts';
import { ConfigError, Unavailable, messageOf } from '../core/errors.ts';
import type { Host, Machine } from '../core/host.ts';
import type { Log } from '../core/log.ts';
import { isPlain } from '../config/settings.ts';
import { readOutside, type Outside } from '../config/sources/tags-and-user-data.ts';
import { paths } from '../core/state/state.ts';

/** It may hold passwords of registries. */
const mode = 0o600;

/** Never throws: a failure to write the disk must not stop the agent. */
export async function keepLastGood(
  machine: Machine,
  config: Config,
  { layers }: Pick<Outside, 'layers'>,
  log: Log,
): Promise<void> {
  const kept = { config: settingsOf(config), ...(layers.length > 0 && { userData: true }) };
  try {
    await machine.writeText(paths.lastGood, `${JSON.stringify(kept)}\n`, mode);
  } catch (error) {
    log.warn('last good configuration not kept', { error: messageOf(error) });
  }
}

/** Undefined when it does not exist, or when this version of the program does not accept it. */
export async function readLastGood(machine: Machine): Promise<Config | undefined> {
  try {
    const value: unknown = JSON.parse((await machine.readText(paths.lastGood)) ?? 'null');
    return isPlain(value) ? parseConfig(value['config']) : undefined;
  } catch (error) {
    if (error instanceof ConfigError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * As `readOutside`. Throws Unavailable when an earlier run in this boot found settings in the user
 * data and there are none now. EC2 changes user data only while the instance is stopped, so a 404
 * is a lost answer, and the node would fall back to its defaults.
 */
export async function readOutsideInThisBoot(
  { machine, metadata }: Pick<Host, 'machine' | 'metadata'>,
  signal: AbortSignal,
): Promise<Outside> {
  const outside = await readOutside(metadata, signal);
  if (outside.layers.length > 0 || outside.faults.length > 0 || !(await hadUserData(machine))) return outside;
  throw new Unavailable('the metadata service lists no settings in the user data, which had some earlier in this boot');
}

async function hadUserData(machine: Machine): Promise<boolean> {
  try {
    const kept: unknown = JSON.parse((await machine.readText(paths.lastGood)) ?? 'null');
    return isPlain(kept) && kept['userData'] === true;
  } catch {
    return false;
  }
}
