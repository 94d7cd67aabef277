/** `ecs-node effective`: the configuration of a running node as JSON, for the agent. Reading it itself would cost the agent 6 MB. */

import type { Config } from '../core/config.ts';
import { ConfigError, Unavailable, UsageError } from '../core/errors.ts';
import type { Machine } from '../core/host.ts';
import { retry } from '../core/patience.ts';
import { paths } from '../core/state.ts';
import { openClock } from '../host/clock.ts';
import { openMetadata } from '../host/imds.ts';
import { openMachine } from '../host/machine.ts';
import { parseRefreshed, revisionOf } from '../upkeep/refreshed.ts';
import { isSet, type Caller, type Run } from './command.ts';
import { keepLastGood, readLastGood } from './last-good.ts';
import { logWarnings, readFileLayers, settleSafely } from './load-config.ts';
import { readOutside } from './sources/outside.ts';

export interface Effective {
  config: Config;
  /** Of the pulled documents (upkeep/refreshed.ts). */
  revision: string;
}

/** The agent waits for the metadata service itself. This only bridges a lost answer. */
const metadataMs = 60_000;

export const effective: Run = async (caller, words, signal) => {
  // A person who types it may paste the output into a ticket.
  if (!isSet(words, 'with-secrets'))
    throw new UsageError('this is for the agent, and prints passwords: use "ecs-node check", which does not');
  const machine = openMachine(caller.root, caller.environment);
  // First: documents that are pulled meanwhile are then found to be newer, and not missed.
  const revision = revisionOf(parseRefreshed(await machine.readText(paths.refreshed).catch(() => undefined)));
  const config = isSet(words, 'or-last-good')
    ? await readConfigOrLastGood(machine, caller, signal)
    : await readConfig(machine, caller, signal);
  caller.print(`${JSON.stringify({ config, revision } satisfies Effective)}\n`);
  return 0;
};

async function readConfig(machine: Machine, caller: Caller, signal: AbortSignal): Promise<Config> {
  const files = await readFileLayers(machine, caller);
  const clock = openClock();
  const metadata = openMetadata(caller.environment, clock);
  const outside = await retry((inner) => readOutside(metadata, inner), { clock, signal, withinMs: metadataMs });
  const loaded = settleSafely(files, [], outside, caller.log);
  logWarnings(loaded, caller.log);
  await keepLastGood(machine, loaded.config, caller.log);
  return loaded.config;
}

async function readConfigOrLastGood(machine: Machine, caller: Caller, signal: AbortSignal): Promise<Config> {
  try {
    return await readConfig(machine, caller, signal);
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof Unavailable)) throw error;
    const config = await readLastGood(machine);
    if (config === undefined) throw error;
    caller.log.error('configuration not valid: the agent goes on with the last good one', { error: error.message });
    return config;
  }
}
