/**
 * The last valid configuration of this boot. A restarted agent uses it when a file or a tag has
 * become invalid meanwhile. A node without its agent would miss spot notices.
 */

import { parseConfig, settingsOf, type Config } from '../config/config.ts';
import { ConfigError, messageOf } from '../core/errors.ts';
import type { Machine } from '../core/host.ts';
import type { Log } from '../core/log.ts';
import { isPlain } from '../config/settings.ts';
import { paths } from '../core/state/state.ts';

/** It may hold passwords of registries. */
const mode = 0o600;

/** Never throws: a failure to write the disk must not stop the agent. */
export async function keepLastGood(machine: Machine, config: Config, log: Log): Promise<void> {
  try {
    await machine.writeText(paths.lastGood, `${JSON.stringify({ config: settingsOf(config) })}\n`, mode);
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
