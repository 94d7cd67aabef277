/**
 * `ecs-node agent`: opens the node for the rest of its life. Loads neither the AWS SDK nor the
 * configuration's schema: children do.
 */

import { deregister } from '../bootstrap/registrars/registrars.ts';
import { ConfigError, Unavailable } from '../core/errors.ts';
import type { Identity } from '../core/identity.ts';
import { openChildCloud } from '../host/aws/child/child-cloud.ts';
import { readChildOutput } from '../host/child-output.ts';
import { collectNowAndThen, doWithoutCompilers } from '../host/small-footprint.ts';
import { cloudArguments } from './node/cloud-arguments.ts';
import type { CommandContext, Environment, Run } from '../cli/command.ts';
import type { Effective } from './node/effective.ts';
import { mayTerminate } from './node/join-failure.ts';
import { callMetadata, openLocalHost, openHost, type LocalHost } from './node/open-host.ts';
import type { RefreshResult } from './refresh.ts';
import { runWithReload, type ReloadContext } from './node/reload-loop.ts';

/**
 * systemd starts us without a time-out: a node without its watcher waits for as long as it takes.
 */
const noTimeoutMs = Number.MAX_SAFE_INTEGER;

/**
 * Passwords come through the pipe: checks have some among their arguments, and a changed one must
 * be noticed.
 */
export const effectiveArgs = ['effective', '--with-secrets'] as const;

/** When the agent starts. A reload tells the operator what is wrong instead. */
export const firstEffectiveWords = [...effectiveArgs, '--or-last-good'] as const;

export const agent: Run = async (context, _args, signal) => {
  // Now, when what the agent consists of has been loaded: V8 takes no code cache under these flags.
  doWithoutCompilers();
  const localHost = openLocalHost(context);
  // Before anything takes time: a reload that comes early must not end us.
  const reloads = openReloads(context);
  const identity = await callMetadata(localHost, context, noTimeoutMs, signal, (callSignal) =>
    localHost.metadata.readIdentity(callSignal),
  );
  const { code, text } = await runChild(context, firstEffectiveWords, signal);
  // The child has said what is wrong.
  if (code !== 0) return code === -1 ? 75 : code;
  // Ends with the process at the latest.
  collectNowAndThen(localHost.clock, signal).catch(() => {});
  await runWithReload(openReloadContext(context, localHost, identity, reloads), JSON.parse(text) as Effective, signal);
  // Only a node that has left ends with 0, after which systemd does not start the agent again. A
  // signal ends it with 143.
  return 0;
};

function openReloadContext(
  context: CommandContext,
  localHost: LocalHost,
  identity: Identity,
  onReload: ReloadContext['onReload'],
): ReloadContext {
  const watchdogMs = readWatchdog(context.environment);
  return {
    onReload,
    open(config) {
      const args = cloudArguments(context, identity, config.opsworks.region);
      const cloud = openChildCloud(context.self.file, args, context.environment, context.log);
      return openHost(localHost, context, identity, config, cloud);
    },
    async readEffective(signal) {
      const { code, text } = await runChild(context, effectiveArgs, signal);
      if (code === 0) return JSON.parse(text) as Effective;
      const problem = 'is not valid, or cannot be read: see the log, or "ecs-node check"';
      throw code === 78 ? new ConfigError([{ path: 'configuration', problem }]) : new Unavailable(`exit code ${code}`);
    },
    async pull(signal) {
      const { code, text } = await runChild(context, ['refresh', '--json'], signal);
      return parseRefreshResult(code, text);
    },
    options: (host, config) => ({
      deregister,
      mayTerminate: (callSignal, knownFacts) => mayTerminate(host, config, callSignal, knownFacts),
      ...(watchdogMs !== undefined && { watchdogMs }),
    }),
  };
}

/** A round that failed still tells which documents are in use. */
function parseRefreshResult(code: number, text: string): RefreshResult {
  try {
    return JSON.parse(text) as RefreshResult;
  } catch (cause) {
    throw new Unavailable(`the child that pulls the configuration ended (exit ${code})`, { cause });
  }
}

/** What was rung before anybody listened is not lost. */
function openReloads({ onHangup }: Pick<CommandContext, 'onHangup'>): ReloadContext['onReload'] {
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

async function runChild(
  { self, root, configFile, configFileGiven, environment, logFlags }: CommandContext,
  args: readonly string[],
  signal: AbortSignal,
): Promise<{ code: number; text: string }> {
  const locationFlags = [`--root=${root}`, ...(configFileGiven ? [`--config=${configFile}`] : [])];
  return readChildOutput(self.file, [...self.args, ...args, ...locationFlags, ...logFlags], environment, signal);
}

/** How often systemd wants a sign of life; undefined where it does not watch. */
function readWatchdog(environment: Environment): number | undefined {
  const microseconds = Number(environment['WATCHDOG_USEC']);
  return Number.isFinite(microseconds) && microseconds > 0 ? microseconds / 1000 : undefined;
}
