/** `ecs-node bootstrap`: reads and writes the configuration, then bootstraps the node. */

import type { Config } from '../config/config.ts';
import { ConfigError, Refused, StepError, Unavailable, messageOf } from '../core/errors.ts';
import type { Identity } from '../core/identity.ts';
import { isRetryable, retry, type Clock } from '../core/retry.ts';
import type { BootstrapState } from '../core/state/state.ts';
import { openCloud } from '../host/aws/open.ts';
import { DocumentsLost, forgetRefreshed } from '../config/remote/refresh.ts';
import type { CommandContext, Run, ParsedArgs } from '../cli/command.ts';
import { planFromFlags, writeEdits, type ConfigurationPlan } from './configure.ts';
import { runBootstrap } from './node/bootstrap-command.ts';
import { identify } from './node/identify.ts';
import { keepBooted, keepLastGood, openDoubt, readEarlierBootstrap, readOutsideInThisBoot } from './last-good.ts';
import { keepTags, readTagsCopy } from './tags-copy.ts';
import { keepUserData, readUserDataCopy } from './user-data-copy.ts';
import { logWarnings, ownLayers, resolveConfig, resolveConfigOrOwn, type Loaded } from '../config/load-config.ts';
import { callMetadata, lastEventsMs, openLocalHost, openHost, type LocalHost } from './node/open-host.ts';
import { pullFor, readResolvedConfig, type ConfigSources } from '../config/remote/pull.ts';
import type { Outside } from '../config/sources/tags-and-user-data.ts';

export const bootstrap: Run = async (context, args, signal) => {
  const localHost = openLocalHost(context);
  try {
    return await bootstrapOn(localHost, context, args, signal);
  } catch (error) {
    // A failed step has already written to the console. An error before the first step would appear
    // only in the journal.
    const isTold = error instanceof StepError || error instanceof Refused || signal.aborted;
    if (!isTold) await localHost.machine.say(`ecs-node: cannot bootstrap: ${messageOf(error)}`);
    throw error;
  }
};

async function bootstrapOn(
  ground: ReturnType<typeof openLocalHost>,
  context: CommandContext,
  args: ParsedArgs,
  signal: AbortSignal,
): Promise<number> {
  // Report faults in the node's own files before any request leaves the node.
  const earlier = await readEarlierBootstrap(ground.machine);
  const plan = await planFromFlags(ground.machine, context, args, earlier?.cluster !== undefined);
  // Write the flags before the call to the metadata service. systemd may end a bootstrap that waits
  // for it, and then starts the next one without flags.
  for (const { path, what } of await writeEdits(ground.machine, plan.edits))
    context.log.info('configuration', { path, what });
  const withinMs = timeoutSecondsOf(plan) * 1000;
  const identity = await identify(ground, context, withinMs, signal);
  const { instanceId } = identity;
  const known = earlier?.instanceId === instanceId ? earlier : undefined;
  const mayLackEntries = known !== undefined && plan.files.mayLackEntries === true;
  const { outside, loaded } = await untilComplete(ground.clock, withinMs, signal, async () => {
    const found = await readOutsideAtBoot(ground, context, instanceId, withinMs, signal);
    const files = { ...plan.files, mayLackEntries };
    const resolve = () => orAgain(known, () => resolveConfigOrOwn(files, plan.flagLayers, found, context.log));
    return { outside: found, resolve };
  });
  logWarnings(loaded, context.log);
  await keepUserData(ground.machine, instanceId, outside, context.log);
  await keepTags(ground.machine, instanceId, outside, context.log);
  const own = loaded.config;

  const { configFile, configFileGiven, log } = context;
  const { machine, clock } = ground;
  const flags = plan.flagLayers;
  const sources = { machine, clock, configFile, configFileGiven, log, flags, outside, mayLackEntries };
  const config = await refreshFirst(ground, context, identity, own, sources, signal);
  await keepLastGood(ground.machine, config, outside, context.log);
  const cloud = openCloud(identity, context.environment, context.log, { opsworksRegion: config.opsworks.region });
  const host = openHost(ground, context, identity, config, cloud);
  try {
    host.events.resume();
    await runBootstrap(host, config, signal);
    await keepBooted(ground.machine, config, context.log);
    return 0;
  } finally {
    await host.events.close(lastEventsMs);
    await cloud.close();
  }
}

export async function readOutsideAtBoot(
  local: Pick<LocalHost, 'machine' | 'metadata' | 'clock'>,
  context: Pick<CommandContext, 'log'>,
  instanceId: string,
  withinMs: number,
  signal: AbortSignal,
): Promise<Outside> {
  const userData = await readUserDataCopy(local.machine, instanceId);
  const tags = await readTagsCopy(local.machine, instanceId);
  const doubt = openDoubt(local.clock, withinMs);
  return callMetadata(local, context, withinMs, signal, (callSignal) =>
    readOutsideInThisBoot(local, doubt, callSignal, { userData, tags }),
  );
}

/** User data with a fault at a first boot may be cut off, and is read again after this time. */
const lookAgainMs = 3_000;

/**
 * At a first boot, a 404 may hide the user data with the cluster, and for longer than the doubt. So
 * a setting that is missing without user data is no ConfigError, after which systemd does not try
 * again. User data that is cut off may have any fault, so a fault is looked at twice.
 */
export async function untilComplete(
  clock: Clock,
  withinMs: number,
  signal: AbortSignal,
  read: () => Promise<{ outside: Outside; resolve: () => Loaded }>,
): Promise<{ outside: Outside; loaded: Loaded }> {
  const { notBefore } = openDoubt(clock, withinMs);
  for (let isSecondLook = false; ; isSecondLook = true) {
    const { outside, resolve } = await read();
    try {
      return { outside, loaded: resolve() };
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      // Other user data than that of an earlier boot was already read until then.
      const isDoubted = clock.uptime() < notBefore;
      if (!lacksOnlySettings(error) || outside.lacksUserData !== true) {
        if (isSecondLook || !isDoubted) throw error;
        await clock.sleep(lookAgainMs, signal);
        continue;
      }
      if (!isDoubted) {
        const where = 'no file or tag has it, and the metadata service shows no user data for this instance';
        throw new Unavailable(`${error.message}: ${where}`, { cause: error });
      }
      await clock.sleep(1_000, signal);
    }
  }
}

function lacksOnlySettings(error: unknown): error is ConfigError {
  return error instanceof ConfigError && error.faults.every(({ missing }) => missing === true);
}

/**
 * A setting that is missing after an earlier boot had it may be in an answer that was lost. So
 * systemd tries again, which it does not after a ConfigError.
 */
function orAgain<T>(known: BootstrapState | undefined, resolve: () => T): T {
  try {
    return resolve();
  } catch (error) {
    if (!lacksOnlySettings(error)) throw error;
    const { cluster } = known ?? {};
    if (cluster === undefined) throw error;
    const why = 'no file, tag or user data has it now, but an earlier bootstrap of this instance had it';
    throw new Unavailable(`${error.message}: ${why} (cluster ${cluster})`, { cause: error });
  }
}

/**
 * AWS answers within this time even under load. ECS and the launch hook (30 s at least) wait
 * meanwhile.
 */
const refreshMs = 20_000;

/**
 * Documents from an earlier boot or from the image are good enough. The node does not wait longer
 * for newer ones.
 */
async function refreshFirst(
  { clock, machine }: LocalHost,
  { environment, log }: CommandContext,
  identity: Identity,
  own: Config,
  sources: ConfigSources,
  signal: AbortSignal,
): Promise<Config> {
  const { source } = own.refresh;
  if (source === undefined) {
    await forgetRefreshed({ machine });
    return own;
  }
  const cloud = openCloud(identity, environment, log);
  try {
    const pull = (callSignal: AbortSignal) => pullFor(sources, source, cloud, callSignal);
    const retryIf = (error: unknown) => isRetryable(error) && !(error instanceof DocumentsLost);
    const outcome = await retry(pull, { clock, signal, withinMs: refreshMs, retryIf });
    log.info('configuration refreshed', { outcome, source });
  } catch (error) {
    signal.throwIfAborted();
    log.error('configuration not refreshed', { source, error: messageOf(error) });
    await machine.say(`ecs-node: configuration not refreshed from ${source}: ${messageOf(error)}`);
  } finally {
    await cloud.close();
  }
  return readResolvedConfig(sources);
}

/** The time-out, as far as the node knows it before the metadata service answers. */
function timeoutSecondsOf({ files, flagLayers }: ConfigurationPlan): Config['bootstrap']['timeoutSeconds'] {
  // The cluster's name does not matter here, and may not be known yet.
  const assumed = { settings: { cluster: 'any', registrar: 'none' }, sourceOf: () => 'assumption' };
  return resolveConfig(ownLayers(files), [...flagLayers, assumed]).config.bootstrap.timeoutSeconds;
}
