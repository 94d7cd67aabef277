/** Reads the times of a lifecycle hook from Auto Scaling, until two answers agree. */

import { messageOf, Refused } from '../../core/errors.ts';
import type { Host, LifecycleHook } from '../../core/host.ts';
import { singleErrorMs } from '../../core/lasting.ts';
import { jitter } from '../../core/retry.ts';
import { callOnce } from '../calls.ts';

/** The times of a hook. */
export type HookTimes = Pick<LifecycleHook, 'heartbeatSeconds' | 'globalSeconds'>;

/** The shortest retry interval, for heartbeats as well: a lost one terminates the node. */
export const retryMs = 10_000;

/**
 * The longest retry interval for a hook whose time is unknown: it may have 30 s, or an hour while a
 * thousand nodes ask the same.
 */
export const maxRetryMs = 60_000;

/** The longest interval after a refusal, which lasts until a person has fixed its cause. */
const refusedMs = 900_000;

/** Auto Scaling may be wrong for a minute. An answer that is so much younger must agree. */
const agreesAfterMs = singleErrorMs;

export interface HookTimesReader {
  /** Whether the last answer had the hook. */
  isListed(): boolean;
  /**
   * Reads them when it is time. `none`: the group has no such hook. Undefined: no two answers agree
   * yet. `isUrgent`: the caller has no other sign of the hook.
   */
  read(group: string, isUrgent: boolean, signal: AbortSignal): Promise<HookTimes | 'none' | undefined>;
}

/** Each call takes at most `withinMs`, so that it delays no heartbeat. */
export function openHookTimes(host: Host, name: string, withinMs: number): HookTimesReader {
  const { clock, log } = host;
  let pauseMs = retryMs;
  let dueAt = -Infinity;
  let last: HookTimes | undefined;
  const retryLater = (longestMs: number) => {
    dueAt = clock.uptime() + jitter(pauseMs);
    pauseMs = Math.min(pauseMs * 2, longestMs);
  };
  return {
    isListed: () => last !== undefined,
    async read(group, isUrgent, signal) {
      if (clock.uptime() < dueAt && (last !== undefined || !isUrgent)) return undefined;
      try {
        const hook = await findHook(host, group, name, signal, withinMs);
        const before = last;
        last = hook;
        if (hook === undefined) {
          retryLater(maxRetryMs);
          return 'none';
        }
        if (before?.heartbeatSeconds === hook.heartbeatSeconds && before.globalSeconds === hook.globalSeconds)
          return hook;
        pauseMs = retryMs;
        dueAt = clock.uptime() + agreesAfterMs;
        return undefined;
      } catch (error) {
        signal.throwIfAborted();
        log.warn('hook not found yet', { hook: name, error: messageOf(error) });
        retryLater(error instanceof Refused ? refusedMs : maxRetryMs);
        return undefined;
      }
    },
  };
}

/** The hook with that name, if this node's group has one. */
async function findHook(
  host: Host,
  group: string,
  name: string,
  signal: AbortSignal,
  withinMs: number,
): Promise<LifecycleHook | undefined> {
  const hooks = await callOnce(host, signal, (callSignal) => host.cloud.readHooks(group, callSignal), withinMs);
  const found = hooks.find((hook) => hook.name === name);
  // A group may lack the hooks that nodes complete by default.
  if (found === undefined) host.log.info('no such hook in the group', { group, hook: name });
  return found;
}
