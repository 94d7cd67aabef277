/**
 * One agent after the other in one process: what changes in the configuration is taken over without
 * a restart.
 */

import { runAgent, type AgentOptions } from '../../agent/agent.ts';
import type { ConfigurationStatus } from '../../agent/status.ts';
import type { Config } from '../../config/config.ts';
import { changesBetween, pendingOf, takeOver } from '../../config/config-changes.ts';
import { messageOf, Refused } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { chores } from '../../upkeep/chores.ts';
import type { PullOnce } from '../../upkeep/keep-refreshed.ts';
import type { Effective } from './effective.ts';
import type { RefreshResult } from '../refresh.ts';

export interface ReloadContext {
  /** Opens the node as this configuration has it. */
  open(config: Config): Host;
  /** Throws when the configuration makes no sense, or cannot be read. */
  readEffective(signal: AbortSignal): Promise<Effective>;
  /** Has the documents pulled. Throws when that did not work. */
  pull(signal: AbortSignal): Promise<RefreshResult>;
  /** Calls back whenever somebody wants the configuration to be read again. */
  onReload(listener: () => void): void;
  options(host: Host, config: Config): Omit<AgentOptions, 'handOver' | 'chores' | 'configuration'>;
}

/** Resolves when the node has left; rejects with the signal's reason when stopped. */
export async function runWithReload(reload: ReloadContext, first: Effective, signal: AbortSignal): Promise<void> {
  const reloadRequested = openReloadSignal();
  reload.onReload(reloadRequested.request);
  let configuration: ConfigurationStatus | undefined;
  for (let now = first; ;) {
    const config = takeOver(first.config, now.config);
    const host = reload.open(config);
    const change = Promise.withResolvers<Effective>();
    const current = { ...now };
    const pull: PullOnce = async (callSignal) => {
      const { outcome, revision, error } = await reload.pull(callSignal);
      if (revision !== current.revision) reloadRequested.request();
      if (outcome === 'failed') throw new Refused(error ?? 'it is not known why');
      return outcome;
    };
    const handOver: AgentOptions['handOver'] = async (reportError, callSignal) =>
      change.resolve(await waitForChange(reload, host, current, reloadRequested, reportError, callSignal));
    try {
      const left = await runAgent(
        host,
        config,
        {
          ...reload.options(host, config),
          chores: chores(config, pull),
          handOver,
          ...(configuration !== undefined && { configuration }),
        },
        signal,
      );
      if (left !== undefined) return;
    } finally {
      await host.cloud.close();
    }
    const next = await change.promise;
    configuration = describeChange(host, first.config, now.config, next.config);
    now = next;
  }
}

/**
 * Resolves with a configuration that differs. One that makes no sense is told, and the agent goes
 * on with what it has.
 */
async function waitForChange(
  reload: ReloadContext,
  host: Host,
  current: Effective,
  reloadRequested: ReloadSignal,
  reportError: (what: string, error: unknown) => void,
  signal: AbortSignal,
): Promise<Effective> {
  for (;;) {
    await reloadRequested.wait(signal);
    try {
      const next = await reload.readEffective(signal);
      if (changesBetween(current.config, next.config).length > 0) return next;
      current.revision = next.revision;
      host.log.info('configuration unchanged');
    } catch (error) {
      signal.throwIfAborted();
      host.log.error('configuration not taken over', { error: messageOf(error) });
      reportError('configuration', error);
    }
  }
}

/** A change from afar must not go unseen: each setting is told, with what it was. */
function describeChange(host: Host, booted: Config, before: Config, after: Config): ConfigurationStatus {
  const changes = changesBetween(before, after);
  const pending = pendingOf(booted, after);
  for (const { path, from, to } of changes) host.log.warn('setting changed', { setting: path, from, to });
  if (pending.length > 0) host.log.warn('settings wait for the next boot', { settings: pending });
  return { takenOverAt: host.clock.now(), changed: changes.map(({ path }) => path), pending };
}

interface ReloadSignal {
  request(): void;
  /** Resolves when it was rung since the last time. */
  wait(signal: AbortSignal): Promise<void>;
}

function openReloadSignal(): ReloadSignal {
  let requested = Promise.withResolvers<void>();
  return {
    request: () => requested.resolve(),
    async wait(signal) {
      signal.throwIfAborted();
      const stop = Promise.withResolvers<never>();
      const abort = () => stop.reject(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      try {
        await Promise.race([requested.promise, stop.promise]);
        requested = Promise.withResolvers<void>();
      } finally {
        signal.removeEventListener('abort', abort);
      }
    },
  };
}
