/** `ecs-node bootstrap`: gathers and writes the configuration, then lives the node's first minutes. */

import type { Config } from '../core/config.ts';
import { Refused, StepError, messageOf } from '../core/errors.ts';
import type { Identity } from '../core/identity.ts';
import { retry } from '../core/patience.ts';
import { openCloud } from '../host/aws/open.ts';
import { forgetRefreshed } from '../upkeep/refresh.ts';
import type { Caller, Run, Words } from './command.ts';
import { planConfiguration, writeEdits, type Plan } from './configure.ts';
import { liveFirstMinutes } from './first-minutes.ts';
import { keepLastGood } from './last-good.ts';
import { logWarnings, ownOnly, settle, settleSafely } from './load-config.ts';
import { askMetadata, openGround, openHost, type Ground } from './open-host.ts';
import { pullFor, readSettled, type Sources } from './pull.ts';
import { settingsOfFlags } from './sources/flags.ts';
import { readOutside } from './sources/outside.ts';
import { settingFlags } from './flags.ts';

export const bootstrap: Run = async (caller, words, signal) => {
  const ground = openGround(caller);
  try {
    return await bootstrapOn(ground, caller, words, signal);
  } catch (error) {
    // A step has said itself why it failed; what goes wrong before the first one would be seen in the journal only.
    const isTold = error instanceof StepError || error instanceof Refused || signal.aborted;
    if (!isTold) await ground.machine.say(`ecs-node: cannot bootstrap: ${messageOf(error)}`);
    throw error;
  }
};

async function bootstrapOn(
  ground: ReturnType<typeof openGround>,
  caller: Caller,
  words: Words,
  signal: AbortSignal,
): Promise<number> {
  // Faults in the node's own files are told before any request leaves the node.
  const plan = await planConfiguration(ground.machine, caller, settingsOfFlags(settingFlags, words));
  // Flags are written before the metadata service is asked: systemd may end a bootstrap that waits for it, and starts the
  // next one without flags.
  for (const { path, what } of await writeEdits(ground.machine, plan.edits))
    caller.log.info('configuration', { path, what });
  const withinMs = timeoutSecondsOf(plan) * 1000;
  const identity = await askMetadata(ground, caller, withinMs, signal, (inner) => ground.metadata.readIdentity(inner));
  const outside = await askMetadata(ground, caller, withinMs, signal, (inner) => readOutside(ground.metadata, inner));
  const loaded = settleSafely(plan.files, plan.flagLayers, outside, caller.log);
  logWarnings(loaded, caller.log);
  const own = loaded.config;

  const { configFile, configFileGiven, log } = caller;
  const sources = { machine: ground.machine, configFile, configFileGiven, log, flags: plan.flagLayers, outside };
  const config = await refreshFirst(ground, caller, identity, own, sources, signal);
  await keepLastGood(ground.machine, config, caller.log);
  const cloud = openCloud(identity, caller.environment, caller.log, { opsworksRegion: config.opsworks.region });
  try {
    await liveFirstMinutes(openHost(ground, caller, identity, config, cloud), config, signal);
    return 0;
  } finally {
    await cloud.close();
  }
}

/** Long enough for AWS in bad times; ECS, and the shortest launch hook of 30 s, wait meanwhile. */
const refreshMs = 20_000;

/** What was pulled last, by an earlier boot or into the image, is as good as its absence: nobody waits longer for a newer one. */
async function refreshFirst(
  { clock, machine }: Ground,
  { environment, log }: Caller,
  identity: Identity,
  own: Config,
  sources: Sources,
  signal: AbortSignal,
): Promise<Config> {
  const { source } = own.refresh;
  if (source === undefined) {
    await forgetRefreshed({ machine });
    return own;
  }
  const cloud = openCloud(identity, environment, log);
  try {
    const pull = (inner: AbortSignal) => pullFor(sources, source, cloud, inner);
    const outcome = await retry(pull, { clock, signal, withinMs: refreshMs });
    log.info('configuration refreshed', { outcome, source });
  } catch (error) {
    signal.throwIfAborted();
    log.error('configuration not refreshed', { source, error: messageOf(error) });
    await machine.say(`ecs-node: configuration not refreshed from ${source}: ${messageOf(error)}`);
  } finally {
    await cloud.close();
  }
  return readSettled(sources);
}

/** As far as it is known before the metadata service has been asked. */
function timeoutSecondsOf({ files, flagLayers }: Plan): Config['bootstrap']['timeoutSeconds'] {
  // The cluster's name does not matter here, and may not be known yet.
  const assumed = { settings: { cluster: 'any', registrar: 'none' }, sourceOf: () => 'assumption' };
  return settle(ownOnly(files), [...flagLayers, assumed]).config.bootstrap.timeoutSeconds;
}
