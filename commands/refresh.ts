/** `ecs-node refresh`: pulls the configuration once, as the agent has it done every few minutes. */

import { ConfigError, exitCode, messageOf, Refused, Unavailable } from '../core/errors.ts';
import { within } from '../core/patience.ts';
import { openCloud } from '../host/aws/open.ts';
import { refreshMs } from '../upkeep/keep-refreshed.ts';
import { forgetRefreshed, readRefreshed } from '../upkeep/refresh.ts';
import { revisionOf } from '../upkeep/refreshed.ts';
import { isSet, type Caller, type Run } from './command.ts';
import { askMetadata, openGround, type Ground } from './open-host.ts';
import { pullFor, readSettled } from './pull.ts';
import { readOutside } from './sources/outside.ts';

/** The agent waits for the metadata service itself; this only bridges what is lost on the way. */
const metadataMs = 20_000;

/** What the agent is told. */
export interface Round {
  outcome: 'changed' | 'unchanged' | 'failed';
  /** Of what is in use now, whatever became of this round. */
  revision: string;
  error?: string;
}

export const refresh: Run = async (caller, words, signal) => {
  const ground = openGround(caller);
  const revision = async () => revisionOf(await readRefreshed(ground));
  try {
    const { outcome, told } = await within(refreshMs, (inner) => pullOnce(caller, ground, inner), ground.clock, signal);
    const round: Round = { outcome, revision: await revision() };
    caller.print(isSet(words, 'json') ? `${JSON.stringify(round)}\n` : `${told}\n`);
    return 0;
  } catch (error) {
    signal.throwIfAborted();
    const isExpected = error instanceof ConfigError || error instanceof Refused || error instanceof Unavailable;
    if (!isExpected || !isSet(words, 'json')) throw error;
    // The agent tells it, once: a round every few minutes would fill the journal.
    const round: Round = { outcome: 'failed', revision: await revision().catch(() => ''), error: messageOf(error) };
    caller.print(`${JSON.stringify(round)}\n`);
    return exitCode(error);
  }
};

async function pullOnce(
  caller: Caller,
  ground: Ground,
  signal: AbortSignal,
): Promise<{ outcome: 'changed' | 'unchanged'; told: string }> {
  const ask = <T>(question: (inner: AbortSignal) => Promise<T>) =>
    askMetadata(ground, caller, metadataMs, signal, question);
  const outside = await ask((inner) => readOutside(ground.metadata, inner));
  const { configFile, configFileGiven, log } = caller;
  const sources = { machine: ground.machine, configFile, configFileGiven, log, flags: [], outside };
  const { source } = (await readSettled(sources)).refresh;
  if (source === undefined) {
    const outcome = (await forgetRefreshed(ground)) ? ('changed' as const) : ('unchanged' as const);
    return { outcome, told: 'Nothing is pulled: refresh.source is not set.' };
  }
  const identity = await ask((inner) => ground.metadata.readIdentity(inner));
  const cloud = openCloud(identity, caller.environment, caller.log);
  try {
    const outcome = await pullFor(sources, source, cloud, signal);
    const count = (await readRefreshed(ground))?.good.length ?? 0;
    return { outcome, told: `${outcome}: ${count} ${count === 1 ? 'document' : 'documents'} from ${source}` };
  } finally {
    await cloud.close();
  }
}
