/** `ecs-node agent`: opens the node for the rest of its life. Loads neither the AWS SDK nor the configuration's schema: children do. */

import { runAgent } from '../agent/agent.ts';
import { deregister } from '../bootstrap/registrars/registrar.ts';
import type { Config } from '../core/config.ts';
import { openSpokenCloud } from '../host/aws/spoken.ts';
import { readChildOutput } from '../host/child-output.ts';
import { collectNowAndThen, doWithoutCompilers } from '../host/small-footprint.ts';
import { chores } from '../upkeep/chores.ts';
import { cloudArguments } from './cloud-arguments.ts';
import type { Caller, Environment, Run } from './command.ts';
import { mayDie } from './may-die.ts';
import { askMetadata, openGround, openHost } from './open-host.ts';

/** systemd starts us without a time-out: a node without its watcher waits for as long as it takes. */
const forEver = Number.MAX_SAFE_INTEGER;

export const agent: Run = async (caller, _words, signal) => {
  doWithoutCompilers();
  const ground = openGround(caller);
  try {
    const identity = await askMetadata(ground, caller, forEver, signal, (inner) => ground.metadata.readIdentity(inner));
    const effective = await readEffective(caller, signal);
    // The child has said what is wrong.
    if (effective.config === undefined) return effective.code;
    const { config } = effective;
    const words = cloudArguments(caller, identity, config.opsworks.region);
    const cloud = openSpokenCloud(caller.self.file, words, caller.environment, caller.log);
    const host = openHost(ground, caller, identity, config, cloud);
    const watchdogMs = readWatchdog(caller.environment);
    const options = {
      deregister,
      mayDie: (inner: AbortSignal) => mayDie(host, config, inner),
      chores: chores(config),
      ...(watchdogMs !== undefined && { watchdogMs }),
    };
    // Ends with the process at the latest.
    collectNowAndThen(ground.clock, signal).catch(() => {});
    try {
      await runAgent(host, config, options, signal);
    } finally {
      await cloud.close();
    }
    return 0;
  } catch (error) {
    // systemd's stop is what an agent is meant to end with.
    if (signal.aborted && error === signal.reason) return 0;
    throw error;
  }
};

async function readEffective(
  { self, root, configFile, configFileGiven, environment, logFlags }: Caller,
  signal: AbortSignal,
): Promise<{ config?: Config; code: number }> {
  const place = [`--root=${root}`, ...(configFileGiven ? [`--config=${configFile}`] : [])];
  const { code, text } = await readChildOutput(
    self.file,
    [...self.args, 'effective', ...place, ...logFlags],
    environment,
    signal,
  );
  return code === 0 ? { code, config: JSON.parse(text) as Config } : { code: code === -1 ? 75 : code };
}

/** How often systemd wants a sign of life; undefined where it does not watch. */
function readWatchdog(environment: Environment): number | undefined {
  const microseconds = Number(environment['WATCHDOG_USEC']);
  return Number.isFinite(microseconds) && microseconds > 0 ? microseconds / 1000 : undefined;
}
