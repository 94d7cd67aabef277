/**
 * The agent's part of `ecs-node status`. Written when it changes, and at most every few seconds.
 */

import { messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { readState } from '../core/state/read-state.ts';
import { paths, renderState } from '../core/state/state.ts';
import { flag, isObject, listOf, maybe, number, oneOf, recordOf, shaped, text, time, type Is } from '../core/shape.ts';
import { isMemory, type Memory } from './watching/judge.ts';

export interface WatcherStatus {
  /** The kind of the last finding, or `unknown` when the last check could not tell. */
  finding: string;
  reason?: string;
  /** The node does nothing about it, so a person has to act. */
  needsPerson?: boolean;
  facts?: Readonly<Record<string, unknown>>;
  /**
   * When the watcher was last asked, and since when it reports this finding; milliseconds since
   * 1970.
   */
  at: number;
  since: number;
  /** Why the last check, treatment or recovery failed. */
  error?: string;
}

const choreOutcomes = ['changed', 'unchanged', 'failed'] as const;

export interface ChoreStatus {
  /** The outcome of the last round. */
  outcome: (typeof choreOutcomes)[number];
  /**
   * When the last round ended, and when a round last changed something; milliseconds since 1970.
   */
  at: number;
  changedAt?: number;
  /** Why the last round failed, and since when rounds fail. */
  error?: string;
  failingSince?: number;
}

export interface ConfigurationStatus {
  /**
   * When a running agent adopted this configuration, milliseconds since 1970, and which settings
   * had changed.
   */
  takenOverAt?: number;
  changed: readonly string[];
  /** Changed settings that take effect only at the next boot. */
  pending: readonly string[];
}

const joinStates = ['joining', 'joined', 'in warm pool', 'failed'] as const;

export interface AgentStatus {
  instanceId: string;
  bootId: string;
  /** When this was written, milliseconds since 1970. */
  at: number;
  join: { state: (typeof joinStates)[number]; detail: string; since: number };
  /**
   * The launch hook that the node's group may still wait for, and why; absent when there is none.
   * `sinceUptime` is `since` by uptime, which never jumps.
   */
  launchHook?: { why: string; since: number; sinceUptime?: number };
  /**
   * When the node asks again whether a launch hook waits, by uptime. Absent: it need not ask,
   * because it completed the hook itself, or the answer has lasted.
   */
  askHookAgainUptime?: number;
  /** ECS registered the node outside its group's capacity provider. */
  registration?: { provider: string; detail: string; since: number };
  watchers: Record<string, WatcherStatus>;
  /** Absent while the configuration is the one with which the node booted. */
  configuration?: ConfigurationStatus;
  /** The chores (`upkeep/`) that are configured. */
  chores?: Record<string, ChoreStatus>;
  lastError?: { what: string; error: string; at: number };
  /** Read by the agent itself after a restart. */
  memories: Record<string, Memory>;
}

const isWatcherStatus = shaped<WatcherStatus>({
  finding: text,
  reason: maybe(text),
  needsPerson: maybe(flag),
  facts: maybe<Readonly<Record<string, unknown>>>(isObject),
  at: time,
  since: time,
  error: maybe(text),
});

const isChoreStatus = shaped<ChoreStatus>({
  outcome: oneOf(choreOutcomes),
  at: time,
  changedAt: maybe(time),
  error: maybe(text),
  failingSince: maybe(time),
});

export const isAgentStatus: Is<AgentStatus> = shaped<AgentStatus>({
  instanceId: text,
  bootId: text,
  at: time,
  join: shaped<AgentStatus['join']>({ state: oneOf(joinStates), detail: text, since: time }),
  launchHook: maybe(
    shaped<NonNullable<AgentStatus['launchHook']>>({ why: text, since: time, sinceUptime: maybe(number) }),
  ),
  askHookAgainUptime: maybe(number),
  registration: maybe(shaped<NonNullable<AgentStatus['registration']>>({ provider: text, detail: text, since: time })),
  watchers: recordOf(isWatcherStatus),
  configuration: maybe(
    shaped<ConfigurationStatus>({ takenOverAt: maybe(time), changed: listOf(text), pending: listOf(text) }),
  ),
  chores: maybe(recordOf(isChoreStatus)),
  lastError: maybe(shaped<NonNullable<AgentStatus['lastError']>>({ what: text, error: text, at: time })),
  memories: recordOf(isMemory),
});

/** Fast enough for a person, and rare enough for a flash disk. */
const leastPauseMs = 3_000;

/** The times in the file may be this old while nothing else changes. */
const refreshMs = 60_000;

export interface StatusBook {
  read(): AgentStatus;
  change(change: (status: AgentStatus) => AgentStatus): void;
  /**
   * The watcher has reported the same again. Only the time of its last answer is new, and that
   * alone is not worth a write.
   */
  touch(watcher: string, status: WatcherStatus): void;
  error(what: string, error: unknown): void;
  /** Writes until the signal aborts, and once more then. */
  keep(signal: AbortSignal): Promise<void>;
  flush(): Promise<void>;
}

/** The status of the last agent of this boot, if there was one. */
export async function readStatus(host: Host): Promise<AgentStatus | undefined> {
  return readState<AgentStatus>(host, paths.agent, isAgentStatus).catch(() => undefined);
}

export function openStatusBook(host: Host, first: AgentStatus): StatusBook {
  let status = first;
  let written = '';
  let wake = new AbortController();
  let compared = { status, text: withoutTimes(status) };
  // Rendered once for each change, because a node compares far more often than it changes.
  const essence = () => {
    if (compared.status !== status) compared = { status, text: withoutTimes(status) };
    return compared.text;
  };
  const changed = () => essence() !== written;
  const flush = async () => {
    written = essence();
    status = { ...status, at: host.clock.now() };
    compared = { status, text: written };
    try {
      await host.machine.writeText(paths.agent, renderState(status));
    } catch (error) {
      host.log.warn('status not written', { error: messageOf(error) });
    }
  };
  return {
    read: () => status,
    change(change) {
      const before = status;
      status = change(before);
      // While awake, `keep` checks for changes itself before it sleeps again.
      if (status !== before && !wake.signal.aborted && changed()) wake.abort(new Error('changed'));
    },
    touch(watcher, same) {
      status.watchers[watcher] = same;
    },
    error(what, error) {
      status = { ...status, lastError: { what, error: messageOf(error).slice(0, 500), at: host.clock.now() } };
    },
    flush,
    async keep(signal) {
      try {
        for (;;) {
          await flush();
          await host.clock.sleep(leastPauseMs, signal);
          wake = new AbortController();
          if (changed()) continue;
          await host.clock
            .sleep(refreshMs, AbortSignal.any([signal, wake.signal]))
            .catch(() => signal.throwIfAborted());
        }
      } finally {
        await flush();
      }
    },
  };
}

/** The status without the parts that change at every check. */
function withoutTimes({
  watchers,
  chores = {},
  memories,
  join,
  launchHook,
  askHookAgainUptime,
  registration,
  instanceId,
  configuration,
  lastError,
}: AgentStatus): string {
  const findings = Object.entries(watchers).map(([name, { at: _at, ...rest }]) => [name, rest]);
  const done = Object.entries(chores).map(([name, { at: _at, outcome: _outcome, ...rest }]) => [name, rest]);
  const begun = Object.entries(memories).map(([name, { streak: _streak, ...rest }]) => [name, rest]);
  return JSON.stringify([
    instanceId,
    findings,
    done,
    begun,
    configuration,
    join,
    launchHook,
    askHookAgainUptime,
    registration,
    lastError?.error,
  ]);
}
