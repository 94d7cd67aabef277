/** `ecs-node effective`: the configuration of a running node as JSON, for the agent: reading it itself would cost it 6 MB for good. */

import type { Config } from '../core/config.ts';
import { UsageError } from '../core/errors.ts';
import { retry } from '../core/patience.ts';
import { paths } from '../core/state.ts';
import { openClock } from '../host/clock.ts';
import { openMetadata } from '../host/imds.ts';
import { openMachine } from '../host/machine.ts';
import { parseRefreshed, revisionOf } from '../upkeep/refreshed.ts';
import { isSet, type Run } from './command.ts';
import { readFileLayers, settleSafely } from './load-config.ts';
import { readOutside } from './sources/outside.ts';

export interface Effective {
  config: Config;
  /** Of what was pulled from elsewhere (upkeep/refreshed.ts). */
  revision: string;
}

/** The agent waits for the metadata service itself; this only bridges what is lost on the way. */
const metadataMs = 60_000;

export const effective: Run = async (caller, words, signal) => {
  // Whoever types it by hand may paste what he sees into a ticket.
  if (!isSet(words, 'with-secrets'))
    throw new UsageError('this is for the agent, and prints passwords: use "ecs-node check", which does not');
  const machine = openMachine(caller.root, caller.environment);
  // First: what is pulled meanwhile is then found to be newer, and not missed.
  const revision = revisionOf(parseRefreshed(await machine.readText(paths.refreshed).catch(() => undefined)));
  const files = await readFileLayers(machine, caller);
  const clock = openClock();
  const metadata = openMetadata(caller.environment, clock);
  const outside = await retry((inner) => readOutside(metadata, inner), { clock, signal, withinMs: metadataMs });
  const { config } = settleSafely(files, [], outside, caller.log);
  caller.print(`${JSON.stringify({ config, revision } satisfies Effective)}\n`);
  return 0;
};
