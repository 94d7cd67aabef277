/** `ecs-node bootstrap`: gathers and writes the configuration, then lives the node's first minutes. */

import type { Config } from '../core/config.ts';
import { Refused, StepError, messageOf } from '../core/errors.ts';
import { openCloud } from '../host/aws/open.ts';
import type { Caller, Run, Words } from './command.ts';
import { planConfiguration, writeEdits, type Plan } from './configure.ts';
import { liveFirstMinutes } from './first-minutes.ts';
import { settle } from './load-config.ts';
import { askMetadata, openGround, openHost } from './open-host.ts';
import { settingsOfFlags } from './sources/flags.ts';
import { readOutside } from './sources/outside.ts';
import { settingFlags } from './table.ts';

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
  // Whatever is wrong on the node itself is told before anything is asked of the network.
  const plan = await planConfiguration(ground.machine, caller, settingsOfFlags(settingFlags, words));
  const withinMs = timeoutSecondsOf(plan) * 1000;
  const identity = await askMetadata(ground, caller, withinMs, signal, (inner) => ground.metadata.readIdentity(inner));
  const outside = await askMetadata(ground, caller, withinMs, signal, (inner) => readOutside(ground.metadata, inner));
  const { config } = settle(plan.files, plan.flagLayers, outside);
  for (const { path, what } of await writeEdits(ground.machine, plan.edits))
    caller.log.info('configuration', { path, what });

  const cloud = openCloud(identity, caller.environment, caller.log, { opsworksRegion: config.opsworks.region });
  try {
    await liveFirstMinutes(openHost(ground, caller, identity, config, cloud), config, signal);
    return 0;
  } finally {
    await cloud.close();
  }
}

/** As far as it is known before the metadata service has been asked. */
function timeoutSecondsOf({ files, flagLayers }: Plan): Config['bootstrap']['timeoutSeconds'] {
  // The cluster's name does not matter here, and may not be known yet.
  const assumed = { settings: { cluster: 'any', registrar: 'none' }, sourceOf: () => 'assumption' };
  return settle(files, [...flagLayers, assumed]).config.bootstrap.timeoutSeconds;
}
