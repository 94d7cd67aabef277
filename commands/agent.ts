/** `ecs-node agent`: opens the node for the rest of its life. Loads neither the AWS SDK nor the configuration's schema: children do. */

import { deregister } from '../bootstrap/registrars/registrars.ts';
import { ConfigError, Unavailable } from '../core/errors.ts';
import type { Identity } from '../core/identity.ts';
import { openSpokenCloud } from '../host/aws/spoken.ts';
import { readChildOutput } from '../host/child-output.ts';
import { collectNowAndThen, doWithoutCompilers } from '../host/small-footprint.ts';
import { cloudArguments } from './cloud-arguments.ts';
import type { Caller, Environment, Run } from './command.ts';
import type { Effective } from './effective.ts';
import { mayDie } from './may-die.ts';
import { askMetadata, openGround, openHost, type Ground } from './open-host.ts';
import type { Round } from './refresh.ts';
import { takeTurns, type Turns } from './turns.ts';

/** systemd starts us without a time-out: a node without its watcher waits for as long as it takes. */
const forEver = Number.MAX_SAFE_INTEGER;

/** Passwords come through the pipe: checks have some among their arguments, and a changed one must be noticed. */
export const effectiveWords = ['effective', '--with-secrets'] as const;

/** When the agent starts. A reload tells the operator what is wrong instead. */
export const firstEffectiveWords = [...effectiveWords, '--or-last-good'] as const;

export const agent: Run = async (caller, _words, signal) => {
  // Now, when what the agent consists of has been loaded: V8 takes no code cache under these flags.
  doWithoutCompilers();
  const ground = openGround(caller);
  // Before anything takes time: a reload that comes early must not end us.
  const reloads = openReloads(caller);
  try {
    const identity = await askMetadata(ground, caller, forEver, signal, (inner) => ground.metadata.readIdentity(inner));
    const { code, text } = await askChild(caller, firstEffectiveWords, signal);
    // The child has said what is wrong.
    if (code !== 0) return code === -1 ? 75 : code;
    // Ends with the process at the latest.
    collectNowAndThen(ground.clock, signal).catch(() => {});
    await takeTurns(openTurns(caller, ground, identity, reloads), JSON.parse(text) as Effective, signal);
    return 0;
  } catch (error) {
    // systemd's stop is what an agent is meant to end with.
    if (signal.aborted && error === signal.reason) return 0;
    throw error;
  }
};

function openTurns(caller: Caller, ground: Ground, identity: Identity, onReload: Turns['onReload']): Turns {
  const watchdogMs = readWatchdog(caller.environment);
  return {
    onReload,
    open(config) {
      const words = cloudArguments(caller, identity, config.opsworks.region);
      const cloud = openSpokenCloud(caller.self.file, words, caller.environment, caller.log);
      return openHost(ground, caller, identity, config, cloud);
    },
    async readEffective(signal) {
      const { code, text } = await askChild(caller, effectiveWords, signal);
      if (code === 0) return JSON.parse(text) as Effective;
      const problem = 'is not valid, or cannot be read: see the log, or "ecs-node check"';
      throw code === 78 ? new ConfigError([{ path: 'configuration', problem }]) : new Unavailable(`exit code ${code}`);
    },
    async pull(signal) {
      const { code, text } = await askChild(caller, ['refresh', '--json'], signal);
      return parseRound(code, text);
    },
    options: (host, config) => ({
      deregister,
      mayDie: (inner, sighting) => mayDie(host, config, inner, sighting),
      ...(watchdogMs !== undefined && { watchdogMs }),
    }),
  };
}

/** A round that failed still tells which documents are in use. */
function parseRound(code: number, text: string): Round {
  try {
    return JSON.parse(text) as Round;
  } catch (cause) {
    throw new Unavailable(`the child that pulls the configuration ended (exit ${code})`, { cause });
  }
}

/** What was rung before anybody listened is not lost. */
function openReloads({ onHangup }: Pick<Caller, 'onHangup'>): Turns['onReload'] {
  let isDue = false;
  let listener = (): void => {
    isDue = true;
  };
  onHangup?.(() => listener());
  return (next) => {
    listener = next;
    if (isDue) next();
  };
}

async function askChild(
  { self, root, configFile, configFileGiven, environment, logFlags }: Caller,
  words: readonly string[],
  signal: AbortSignal,
): Promise<{ code: number; text: string }> {
  const place = [`--root=${root}`, ...(configFileGiven ? [`--config=${configFile}`] : [])];
  return readChildOutput(self.file, [...self.args, ...words, ...place, ...logFlags], environment, signal);
}

/** How often systemd wants a sign of life; undefined where it does not watch. */
function readWatchdog(environment: Environment): number | undefined {
  const microseconds = Number(environment['WATCHDOG_USEC']);
  return Number.isFinite(microseconds) && microseconds > 0 ? microseconds / 1000 : undefined;
}
