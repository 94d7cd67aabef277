/**
 * `ecs-node agent`: the resident process of a node. Child processes load the AWS SDK and the
 * configuration's schema, so this one loads neither.
 */

import { deregister } from '../bootstrap/registrars/registrars.ts';
import { ConfigError, Unavailable } from '../core/errors.ts';
import type { Identity } from '../core/identity.ts';
import { openChildCloud } from '../host/aws/child/child-cloud.ts';
import { readChildOutput } from '../host/child-output.ts';
import { collectNowAndThen, doWithoutCompilers } from '../host/small-footprint.ts';
import type { CommandContext, Environment, Run } from '../cli/command.ts';
import type { Effective } from './node/effective.ts';
import { mayTerminate } from './node/join-failure.ts';
import { identify } from './node/identify.ts';
import { openLocalHost, openHost, type LocalHost } from './node/open-host.ts';
import type { RefreshResult } from './refresh.ts';
import { runWithReload, type ReloadContext } from './node/reload-loop.ts';

/**
 * systemd starts the agent without a time-out. Without its watcher a node is at risk, so the agent
 * waits as long as necessary.
 */
const noTimeoutMs = Number.MAX_SAFE_INTEGER;

/**
 * Passwords come through the pipe: the arguments of checks may hold some, and the agent must notice
 * a changed one.
 */
export const effectiveArgs = ['effective', '--with-secrets'] as const;

/**
 * For the start of the agent only. At a reload, the agent reports the fault to the operator
 * instead.
 */
export const firstEffectiveWords = [...effectiveArgs, '--or-last-good'] as const;

export const agent: Run = async (context, _args, signal) => {
  // Not as flags of the executable: V8 would then reject the code cache of Node.js itself.
  doWithoutCompilers();
  const localHost = openLocalHost(context);
  // Before any slow work: an early reload signal must not end the process.
  const reloads = openReloads(context);
  const identity = await identify(localHost, context, noTimeoutMs, signal);
  const { code, text } = await runChild(context, firstEffectiveWords, signal);
  // The child has already logged the fault.
  if (code !== 0) return code === -1 ? 75 : code;
  // It ends with the process at the latest.
  collectNowAndThen(localHost.clock, signal).catch(() => {});
  await runWithReload(openReloadContext(context, localHost, identity, reloads), JSON.parse(text) as Effective, signal);
  // Only a node that has left exits with 0, after which systemd does not start the agent again. A
  // signal makes the exit code 143.
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
      if (code !== 78) throw new Unavailable(`exit code ${code}`);
      throw new ConfigError([{ path: 'configuration', problem }], { cause: parseRefusal(text) });
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

/**
 * The arguments of the child process that calls AWS (commands/node/cloud.ts). The child receives
 * the identity, so that it reaches AWS even when the metadata service fails.
 */
function cloudArguments(
  { self, logFlags }: Pick<CommandContext, 'self' | 'logFlags'>,
  identity: Identity,
  opsworksRegion: string | undefined,
): string[] {
  const region = opsworksRegion === undefined ? [] : [`--opsworks-region=${opsworksRegion}`];
  return [...self.args, 'cloud', ...region, ...logFlags, JSON.stringify(identity)];
}

/** The fault as the child names it. */
function parseRefusal(text: string): Error | undefined {
  try {
    const { refused } = JSON.parse(text) as { refused?: unknown };
    return typeof refused === 'string' ? new Error(refused) : undefined;
  } catch {
    return undefined;
  }
}

/** A failed round also reports which documents are in use. */
function parseRefreshResult(code: number, text: string): RefreshResult {
  try {
    return JSON.parse(text) as RefreshResult;
  } catch (cause) {
    throw new Unavailable(`the child that pulls the configuration ended (exit ${code})`, { cause });
  }
}

/** Keeps a signal that arrives before there is a listener. */
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

/** The interval in which systemd expects a notification. Undefined without a watchdog. */
function readWatchdog(environment: Environment): number | undefined {
  const microseconds = Number(environment['WATCHDOG_USEC']);
  return Number.isFinite(microseconds) && microseconds > 0 ? microseconds / 1000 : undefined;
}
