/**
 * Runs one agent after another in one process. A changed configuration takes effect without a
 * restart of the process.
 */

import { runAgent, type AgentOptions } from '../../agent/agent.ts';
import type { ConfigurationStatus } from '../../agent/status.ts';
import type { Config } from '../../config/config.ts';
import { changesBetween, pendingOf, takeOver } from '../../config/config-changes.ts';
import { ConfigError, messageOf, Refused } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { chores } from '../../upkeep/chores.ts';
import type { PullOnce } from '../../upkeep/keep-refreshed.ts';
import { lastEventsMs } from './open-host.ts';
import type { Effective } from './effective.ts';
import type { RefreshResult } from '../refresh.ts';

export interface ReloadContext {
  /** Opens the node with this configuration. */
  open(config: Config): Host;
  /** Throws when the configuration is invalid or cannot be read. */
  readEffective(signal: AbortSignal): Promise<Effective>;
  /** Starts one pull of the documents. Throws when it fails. */
  pull(signal: AbortSignal): Promise<RefreshResult>;
  /** Calls the listener at each request to reload the configuration. */
  onReload(listener: () => void): void;
  options(host: Host, config: Config): Omit<AgentOptions, 'handOver' | 'chores' | 'configuration'>;
}

/** Resolves when the node has left. Rejects with the signal's reason when it is stopped. */
export async function runWithReload(reload: ReloadContext, first: Effective, signal: AbortSignal): Promise<void> {
  const reloadRequested = openReloadSignal();
  reload.onReload(reloadRequested.request);
  const refused = { documents: openRefusalEvents(), settings: openRefusalEvents() };
  // A restart of the agent is no boot: ECS and the registrar know the node by its old settings.
  const { booted = first.config } = first;
  let configuration = describePending(booted, first.config);
  for (let now = first; ;) {
    const config = takeOver(booted, now.config);
    const host = reload.open(config);
    if (now === first) warnPending(host, configuration?.pending ?? []);
    const change = Promise.withResolvers<Effective>();
    const current = { ...now };
    const pull: PullOnce = async (callSignal) => {
      const { outcome, revision, error, isRefused } = await reload.pull(callSignal);
      if (revision !== current.revision) reloadRequested.request();
      if (isRefused || outcome !== 'failed') refused.documents(host, error);
      if (outcome === 'failed') throw new Refused(error ?? 'it is not known why');
      return outcome;
    };
    const handOver: AgentOptions['handOver'] = async (reportError, callSignal) =>
      change.resolve(
        await waitForChange(
          { reload, host, current, reloadRequested, reportError, refused: refused.settings },
          callSignal,
        ),
      );
    host.events.resume();
    if (now === first) refused.settings(host, first.refused);
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
      await host.events.close(lastEventsMs);
      await host.cloud.close();
    }
    const next = await change.promise;
    configuration = describeChange(host, booted, now.config, next.config);
    now = next;
  }
}

type TellRefused = (host: Host, reason: string | undefined) => void;

/** Tells EventBridge of each refusal once, and not again at each round. */
function openRefusalEvents(): TellRefused {
  let last: string | undefined;
  return ({ events }, reason) => {
    if (reason !== undefined && reason !== last) events.tell({ type: 'configuration-refused', reason });
    last = reason;
  };
}

interface AwaitedChange {
  reload: ReloadContext;
  host: Host;
  current: Effective;
  reloadRequested: ReloadSignal;
  reportError(what: string, error: unknown): void;
  refused: TellRefused;
}

/**
 * Resolves with a configuration that differs. An invalid one is logged, and the agent keeps the
 * present one.
 */
async function waitForChange(change: AwaitedChange, signal: AbortSignal): Promise<Effective> {
  const { reload, host, current, reloadRequested, reportError, refused } = change;
  let { lookAgainMs } = current;
  for (;;) {
    // A removed or changed tag must take effect without a second reload.
    if (lookAgainMs !== undefined) host.clock.sleep(lookAgainMs, signal).then(reloadRequested.request, () => {});
    await reloadRequested.wait(signal);
    try {
      const next = await reload.readEffective(signal);
      refused(host, undefined);
      if (changesBetween(current.config, next.config).length > 0) return next;
      current.revision = next.revision;
      lookAgainMs = next.lookAgainMs;
      host.log.info('configuration unchanged');
    } catch (error) {
      signal.throwIfAborted();
      host.log.error('configuration not taken over', { error: messageOf(error) });
      if (error instanceof ConfigError) {
        lookAgainMs = undefined;
        refused(host, messageOf(error.cause ?? error));
      }
      reportError('configuration', error);
    }
  }
}

/**
 * A change that comes from outside the node must be visible. Each setting is logged with its old
 * value.
 */
function describeChange(host: Host, booted: Config, before: Config, after: Config): ConfigurationStatus {
  const changes = changesBetween(before, after);
  const pending = pendingOf(booted, after);
  for (const { path, from, to } of changes) host.log.warn('setting changed', { setting: path, from, to });
  warnPending(host, pending);
  return { takenOverAt: host.clock.now(), changed: changes.map(({ path }) => path), pending };
}

/** At the start of the agent: the settings that were edited since the boot. */
function describePending(booted: Config, first: Config): ConfigurationStatus | undefined {
  const pending = pendingOf(booted, first);
  return pending.length === 0 ? undefined : { changed: [], pending };
}

function warnPending({ log }: Host, pending: readonly string[]): void {
  if (pending.length > 0) log.warn('settings wait for the next boot', { settings: pending });
}

interface ReloadSignal {
  request(): void;
  /** Resolves when a reload was requested since the last call. */
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
