/** `ecs-node effective`: the configuration of a running node as JSON, for the agent: reading it itself would cost it 6 MB for good. */

import { retry } from '../core/patience.ts';
import { openClock } from '../host/clock.ts';
import { openMetadata } from '../host/imds.ts';
import { openMachine } from '../host/machine.ts';
import type { Run } from './command.ts';
import { readFileLayers, settleSafely } from './load-config.ts';
import { readOutside } from './sources/outside.ts';

/** The agent waits for the metadata service itself; this only bridges what is lost on the way. */
const metadataMs = 60_000;

export const effective: Run = async (caller, _words, signal) => {
  const files = await readFileLayers(openMachine(caller.root, caller.environment), caller);
  const clock = openClock();
  const metadata = openMetadata(caller.environment, clock);
  const outside = await retry((inner) => readOutside(metadata, inner), { clock, signal, withinMs: metadataMs });
  caller.print(`${JSON.stringify(settleSafely(files, [], outside, caller.log).config)}\n`);
  return 0;
};
