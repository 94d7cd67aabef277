/** `ecs-node refresh`: pulls the configuration once. The agent starts it every few minutes. */

import { ConfigError, exitCode, messageOf, Refused, Unavailable } from '../core/errors.ts';
import { withTimeout } from '../core/retry.ts';
import { openCloud } from '../host/aws/open.ts';
import { refreshMs } from '../upkeep/keep-refreshed.ts';
import { forgetRefreshed, readRefreshed } from '../config/remote/refresh.ts';
import { revisionOf } from '../config/remote/refreshed.ts';
import { isSet, type CommandContext, type Run } from '../cli/command.ts';
import { callMetadata, openLocalHost, type LocalHost } from './node/open-host.ts';
import { pullFor, readResolvedConfig } from '../config/remote/pull.ts';
import { openDoubt, readOutsideInThisBoot } from './last-good.ts';

/** The agent itself waits for the metadata service. This only bridges a lost answer. */
const metadataMs = 20_000;

/** The answer to the agent. */
export interface RefreshResult {
  outcome: 'changed' | 'unchanged' | 'failed';
  /** The revision that is in use after this round. */
  revision: string;
  error?: string;
  /** The documents themselves are at fault, or the role: not an AWS that does not answer. */
  isRefused?: true;
}

export const refresh: Run = async (context, args, signal) => {
  const localHost = openLocalHost(context);
  const revision = async () => revisionOf(await readRefreshed(localHost));
  try {
    const { outcome, message } = await withTimeout(
      refreshMs,
      (callSignal) => pullOnce(context, localHost, callSignal),
      localHost.clock,
      signal,
    );
    const round: RefreshResult = { outcome, revision: await revision() };
    context.print(isSet(args, 'json') ? `${JSON.stringify(round)}\n` : `${message}\n`);
    return 0;
  } catch (error) {
    signal.throwIfAborted();
    const isExpected = error instanceof ConfigError || error instanceof Refused || error instanceof Unavailable;
    if (!isExpected || !isSet(args, 'json')) throw error;
    // The agent logs it once. A line at each round would fill the journal.
    const round: RefreshResult = {
      outcome: 'failed',
      revision: await revision().catch(() => ''),
      error: messageOf(error),
      ...(!(error instanceof Unavailable) && { isRefused: true as const }),
    };
    context.print(`${JSON.stringify(round)}\n`);
    return exitCode(error);
  }
};

async function pullOnce(
  context: CommandContext,
  localHost: LocalHost,
  signal: AbortSignal,
): Promise<{ outcome: 'changed' | 'unchanged'; message: string }> {
  const ask = <T>(question: (callSignal: AbortSignal) => Promise<T>) =>
    callMetadata(localHost, context, metadataMs, signal, question);
  const doubt = openDoubt(localHost.clock, metadataMs);
  const outside = await ask((callSignal) => readOutsideInThisBoot(localHost, doubt, callSignal));
  const { configFile, configFileGiven, log } = context;
  const { machine, clock } = localHost;
  const sources = { machine, clock, configFile, configFileGiven, log, flags: [], outside };
  const { source } = (await readResolvedConfig(sources)).refresh;
  if (source === undefined) {
    const outcome = (await forgetRefreshed(localHost)) ? ('changed' as const) : ('unchanged' as const);
    return { outcome, message: 'Nothing is pulled: refresh.source is not set.' };
  }
  const identity = await ask((callSignal) => localHost.metadata.readIdentity(callSignal));
  const cloud = openCloud(identity, context.environment, context.log);
  try {
    const outcome = await pullFor(sources, source, cloud, signal);
    const count = (await readRefreshed(localHost))?.good.length ?? 0;
    return { outcome, message: `${outcome}: ${count} ${count === 1 ? 'document' : 'documents'} from ${source}` };
  } finally {
    await cloud.close();
  }
}
