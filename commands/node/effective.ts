/**
 * `ecs-node effective`: the configuration of a running node as JSON, for the agent. Loading the
 * code for it would cost the agent 6 MB.
 */

import type { Config } from '../../config/config.ts';
import { ConfigError, Unavailable, UsageError, messageOf } from '../../core/errors.ts';
import { retry } from '../../core/retry.ts';
import { paths } from '../../core/state/state.ts';
import { openClock } from '../../host/clock.ts';
import { openMetadata } from '../../host/metadata/imds.ts';
import { openMachine } from '../../host/machine.ts';
import { parseRefreshed, revisionOf } from '../../config/remote/refreshed.ts';
import type { LocalHost } from './open-host.ts';
import { isSet, type CommandContext, type Run } from '../../cli/command.ts';
import {
  changedMs,
  doubtsTag,
  keepLastGood,
  openDoubt,
  readBooted,
  readLastGood,
  readOutsideInThisBoot,
} from '../last-good.ts';
import { updateTags } from '../tags-copy.ts';
import {
  logWarnings,
  readFileLayers,
  resolveConfig,
  resolveConfigOrOwn,
  type Loaded,
} from '../../config/load-config.ts';
import type { LoadedLayers } from '../../config/sources/files.ts';
import type { Outside } from '../../config/sources/tags-and-user-data.ts';

export interface Effective {
  config: Config;
  /** The revision of the pulled documents (config/remote/refreshed.ts). */
  revision: string;
  /** The fault for which this is the last good configuration, and not the present one. */
  refused?: string;
  /** The list of tags lacked one that still counts, or gave another value: look again then. */
  lookAgainMs?: number;
  /** At the start of the agent: the configuration with which the node booted, if known. */
  booted?: Config;
}

/** The agent itself waits for the metadata service. This only bridges a lost answer. */
const metadataMs = 60_000;

export const effective: Run = async (context, args, signal) => {
  // A person who runs this command may paste the output into a ticket.
  if (!isSet(args, 'with-secrets'))
    throw new UsageError('this is for the agent, and prints passwords. Use "ecs-node check", which does not');
  const machine = openMachine(context.root, context.environment);
  // Read this first. Documents that are pulled meanwhile then count as newer, and are not missed.
  const revision = revisionOf(parseRefreshed(await machine.readText(paths.refreshed).catch(() => undefined)));
  try {
    const clock = openClock();
    const local = { machine, clock, metadata: openMetadata(context.environment, clock) };
    const found = isSet(args, 'or-last-good')
      ? await readConfigOrLastGood(local, context, signal)
      : { config: await readConfig(local, context, signal) };
    const again = (await doubtsTag(machine)) && { lookAgainMs: changedMs };
    context.print(`${JSON.stringify({ ...found, revision, ...again } satisfies Effective)}\n`);
    return 0;
  } catch (error) {
    // The agent tells EventBridge of it.
    if (error instanceof ConfigError) context.print(`${JSON.stringify({ refused: messageOf(error) })}\n`);
    throw error;
  }
};

type Local = Pick<LocalHost, 'machine' | 'metadata' | 'clock'>;
type Place = Pick<CommandContext, 'configFile' | 'configFileGiven' | 'log'>;

export async function readConfig(local: Local, context: Place, signal: AbortSignal): Promise<Config> {
  return readWith(local, context, signal, (files, outside) => {
    const loaded = resolveConfig(files, [], outside);
    if (files.unread !== undefined && loaded.config.refresh.source !== undefined) throw new Unavailable(files.unread);
    return loaded;
  });
}

async function readWith(
  { machine, metadata, clock }: Local,
  context: Place,
  signal: AbortSignal,
  resolve: (files: LoadedLayers, outside: Outside) => Loaded,
): Promise<Config> {
  const files = await readFileLayers(machine, context);
  const doubt = openDoubt(clock, metadataMs);
  const outside = await retry((callSignal) => readOutsideInThisBoot({ machine, metadata, clock }, doubt, callSignal), {
    clock,
    signal,
    withinMs: metadataMs,
  });
  const loaded = resolve(files, outside);
  logWarnings(loaded, context.log);
  await keepLastGood(machine, loaded.config, outside, context.log);
  await updateTags(machine, outside, context.log);
  return loaded.config;
}

export async function readConfigOrLastGood(
  local: Local,
  context: Place,
  signal: AbortSignal,
): Promise<Omit<Effective, 'revision'>> {
  const found = await readConfig(local, context, signal).then(
    (config) => ({ config }),
    (error: unknown) => useLastGood(local, context, error, signal),
  );
  const booted = await readBooted(local.machine, found.config);
  return { ...found, ...(booted !== undefined && { booted }) };
}

/** Without an agent, the node would miss spot notices. */
async function useLastGood(
  local: Local,
  context: Place,
  error: unknown,
  signal: AbortSignal,
): Promise<Pick<Effective, 'config' | 'refused'>> {
  if (!(error instanceof ConfigError || error instanceof Unavailable)) throw error;
  const kept = await readLastGood(local.machine);
  if (kept !== undefined)
    context.log.error('configuration not valid: the agent goes on with the last good one', { error: error.message });
  const config = kept ?? (await readAsAtBoot(local, context, signal));
  return { config, ...(error instanceof ConfigError && { refused: messageOf(error) }) };
}

async function readAsAtBoot(local: Local, context: Place, signal: AbortSignal): Promise<Config> {
  return readWith(local, context, signal, (files, outside) =>
    resolveConfigOrOwn({ ...files, mayLackEntries: true }, [], outside, context.log),
  );
}
