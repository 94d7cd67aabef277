/**
 * The last valid configuration of this boot. An agent that is started again goes on with it when a
 * file or a tag has been damaged meanwhile: a node without its agent misses spot notices.
 */

import { parseConfig, type Config } from '../config/config.ts';
import { ConfigError, messageOf } from '../core/errors.ts';
import type { Machine } from '../core/host.ts';
import type { Log } from '../core/log.ts';
import { isPlain } from '../config/settings.ts';
import { paths } from '../core/state/state.ts';

/** Registries' passwords may be in it. */
const mode = 0o600;

/** Never throws: a disk that cannot be written is no reason to run without a configuration. */
export async function keepLastGood(machine: Machine, config: Config, log: Log): Promise<void> {
  try {
    await machine.writeText(paths.lastGood, `${JSON.stringify({ config })}\n`, mode);
  } catch (error) {
    log.warn('last good configuration not kept', { error: messageOf(error) });
  }
}

/** Undefined where there is none, or where this version of the program does not accept it. */
export async function readLastGood(machine: Machine): Promise<Config | undefined> {
  try {
    const value: unknown = JSON.parse((await machine.readText(paths.lastGood)) ?? 'null');
    return isPlain(value) ? parseConfig(value['config']) : undefined;
  } catch (error) {
    if (error instanceof ConfigError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
