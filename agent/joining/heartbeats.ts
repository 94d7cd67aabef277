/** Keeps a lifecycle hook from timing out while the node works on the task of the hook. */

import type { Config } from '../../config/config.ts';
import { messageOf, Refused } from '../../core/errors.ts';
import type { Host, LifecycleHook } from '../../core/host.ts';
import { jitter } from '../../core/retry.ts';
import { callOnce } from '../calls.ts';
import { isFirstBoot } from './first-boot.ts';
import { readGroup, type KnownFacts } from '../known-facts.ts';

/**
 * Auto Scaling needs a heartbeat before the timeout. Half of that time survives one lost heartbeat.
 * Hooks last at least 30 s.
 */
export function heartbeatEveryMs({ heartbeatSeconds }: Pick<LifecycleHook, 'heartbeatSeconds'>): number {
  return Math.min(longestSeconds, Math.max(10, heartbeatSeconds / 2)) * 1000;
}

/**
 * The longest interval. With ten thousand waiting nodes, heartbeats every five minutes would be
 * more calls than Auto Scaling accepts.
 */
const longestSeconds = 900;

/** A node must finish this long before the hook's global time is over: that end is an ABANDON. */
export const globalMarginMs = 60_000;

/** The shortest retry interval. It is short because a lost heartbeat terminates the node. */
const retryMs = 10_000;

/**
 * The longest retry interval for a hook whose time is unknown: it may have 30 s, or an hour while a
 * thousand nodes ask the same.
 */
const maxRetryMs = 60_000;

/**
 * Retry after 1/15 of the hook's remaining time: the nodes closest to timing out then retry most
 * often. That is about fifty tries from half of the time on.
 */
const retryShare = 1 / 15;

const retryAfterMs = (leftMs: number) => jitter(Math.max(retryMs, leftMs * retryShare));

/** Auto Scaling's own limit for all heartbeats together. */
const globalSecondsOf = (heartbeatSeconds: number) => Math.min(172_800, 100 * heartbeatSeconds);

/**
 * Waits until the launch hook may need its first heartbeat: for `quietMs`, or much longer in the
 * first boot when the configuration gives the hook's time. Half of that time is left then, because
 * among ten thousand nodes each call may take minutes to succeed.
 */
export async function waitUntilHeartbeatDue(
  host: Host,
  config: Config,
  quietMs: number,
  signal: AbortSignal,
): Promise<void> {
  await host.clock.sleep(quietMs, signal);
  const { launchHookSeconds } = config.autoScaling;
  if (launchHookSeconds === undefined || !(await isFirstBoot(host))) return;
  const dueAt = jitter(launchHookSeconds * 500);
  await host.clock.sleep(Math.max(0, dueAt - host.clock.uptime()), signal);
}

/** The hook with that name, if this node's group has one. */
async function findHook(
  host: Host,
  group: string,
  name: string,
  signal: AbortSignal,
  withinMs?: number,
): Promise<LifecycleHook | undefined> {
  const hooks = await callOnce(host, signal, (callSignal) => host.cloud.readHooks(group, callSignal), withinMs);
  const found = hooks.find((hook) => hook.name === name);
  // A group may lack the hooks that nodes complete by default.
  if (found === undefined) host.log.info('no such hook in the group', { group, hook: name });
  return found;
}

/** The times of a hook. */
export type HookTimes = Pick<LifecycleHook, 'heartbeatSeconds' | 'globalSeconds'>;

/** Known values that save calls. */
export interface HeartbeatHints {
  /** The agent's shared facts, which may hold the group's name. */
  knownFacts?: KnownFacts | undefined;
  /** The hook's heartbeat timeout, where the configuration gives it. */
  heartbeatSeconds?: number | undefined;
}

/** Runs until the signal aborts, or the hook's global time is nearly over. Never throws. */
export async function sendHeartbeats(
  host: Host,
  name: string,
  onHook: (hook: HookTimes) => void,
  signal: AbortSignal,
  hints: HeartbeatHints = {},
): Promise<void> {
  try {
    const { heartbeatSeconds, knownFacts = {} } = hints;
    await waitUntilNextDue(host, hints, signal);
    const found = await findHookWithRetry(host, name, { heartbeatSeconds, knownFacts }, signal);
    const hook = found.isRead === true ? await readTimesAgain(host, found.group, name, found.hook, signal) : found.hook;
    onHook(hook);
    const everyMs = heartbeatEveryMs(hook);
    const endsAt = host.clock.uptime() + hook.globalSeconds * 1000 - globalMarginMs;
    let answeredAt = found.heartbeatAt;
    await host.clock.sleep(Math.max(0, everyMs - (host.clock.uptime() - answeredAt)), signal);
    while (host.clock.uptime() < endsAt) {
      const answered = await sendHeartbeat(host, found.group, name, knownFacts, signal).catch((error: unknown) => {
        signal.throwIfAborted();
        return warnFailed(host, name, error);
      });
      if (answered !== undefined) answeredAt = host.clock.uptime();
      const leftMs = answeredAt + hook.heartbeatSeconds * 1000 - host.clock.uptime();
      await host.clock.sleep(answered !== undefined ? everyMs : Math.min(everyMs, retryAfterMs(leftMs)), signal);
    }
    host.log.warn('heartbeats end: the hook has no more time', { hook: name });
  } catch (error) {
    if (!signal.aborted) host.log.error('heartbeats failed', { hook: name, error: messageOf(error) });
  }
}

/** A hook lasts at least 30 s, and the call may take as long as the pause. */
const readTimesAgainMs = 7_000;

/**
 * One answer with a wrong time would end the departure early, or let the hook time out. Of two
 * answers, the shorter heartbeat timeout and the longer global time count.
 */
async function readTimesAgain(
  host: Host,
  group: string,
  name: string,
  first: HookTimes,
  signal: AbortSignal,
): Promise<HookTimes> {
  await host.clock.sleep(readTimesAgainMs, signal);
  try {
    const again = (await findHook(host, group, name, signal, readTimesAgainMs)) ?? first;
    return {
      heartbeatSeconds: Math.min(first.heartbeatSeconds, again.heartbeatSeconds),
      globalSeconds: Math.max(first.globalSeconds, again.globalSeconds),
    };
  } catch (error) {
    signal.throwIfAborted();
    host.log.info('the times of the hook are not read again', { hook: name, error: messageOf(error) });
    return first;
  }
}

/**
 * The last heartbeat still counts, whatever the node was doing then. A node that tries to join
 * again and again needs no extra ones.
 */
async function waitUntilNextDue(
  host: Host,
  { heartbeatSeconds, knownFacts }: HeartbeatHints,
  signal: AbortSignal,
): Promise<void> {
  if (heartbeatSeconds === undefined || knownFacts?.heartbeatAt === undefined) return;
  const dueAt = knownFacts.heartbeatAt + heartbeatEveryMs({ heartbeatSeconds });
  await host.clock.sleep(Math.max(0, dueAt - host.clock.uptime()), signal);
}

interface FoundHook {
  group: string;
  hook: HookTimes;
  heartbeatAt: number;
  /** Auto Scaling has told the times: the configuration gives none. */
  isRead?: true;
}

async function findHookWithRetry(
  host: Host,
  name: string,
  { heartbeatSeconds, knownFacts }: HeartbeatHints & { knownFacts: KnownFacts },
  signal: AbortSignal,
): Promise<FoundHook> {
  knownFacts.firstHeartbeatDueAt ??= host.clock.uptime();
  let firstHeartbeat: HeartbeatResult | undefined;
  let wasActive = false;
  for (let [pauseMs, longestMs] = [retryMs, maxRetryMs]; ; pauseMs = Math.min(pauseMs * 2, longestMs)) {
    try {
      const group = await readGroup(host, knownFacts, signal);
      if (group === undefined) throw new Absent('in no group');
      // The heartbeat comes first, because it keeps the node alive whatever its hook's time is.
      // Among thousands of nodes, each answer may take minutes.
      firstHeartbeat ??= await sendHeartbeat(host, group, name, knownFacts, signal).catch((error: unknown) => {
        // A refusal needs no retry: the next call finds out whether the hook exists.
        if (!(error instanceof Refused)) throw error;
        warnFailed(host, name, error);
        return { at: host.clock.uptime(), active: false };
      });
      const { at: heartbeatAt, active } = firstHeartbeat;
      wasActive ||= active;
      if (active && heartbeatSeconds !== undefined) {
        return { group, hook: { heartbeatSeconds, globalSeconds: globalSecondsOf(heartbeatSeconds) }, heartbeatAt };
      }
      const hook = await findHook(host, group, name, signal);
      if (hook !== undefined) return { group, hook, heartbeatAt, isRead: true };
      throw new Absent('the group has no such hook');
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Absent) {
        // One such answer may be wrong, so the node asks again: rarely, unless a hook was active.
        firstHeartbeat = undefined;
        longestMs = wasActive ? maxRetryMs : longestSeconds * 1000;
        await host.clock.sleep(jitter(pauseMs), signal);
        continue;
      }
      longestMs = maxRetryMs;
      host.log.warn('hook not found yet', { hook: name, error: messageOf(error) });
      // Counted from the hook's last heartbeat, not from this try: a held node starts a new try
      // every few minutes.
      const dueAt =
        knownFacts.heartbeatAt === undefined
          ? knownFacts.firstHeartbeatDueAt
          : knownFacts.heartbeatAt + (heartbeatSeconds ?? 0) * 500;
      const leftMs = dueAt + (heartbeatSeconds ?? 0) * 500 - host.clock.uptime();
      const isKnown = heartbeatSeconds !== undefined && firstHeartbeat === undefined;
      await host.clock.sleep(isKnown ? retryAfterMs(leftMs) : jitter(pauseMs), signal);
    }
  }
}

/** AWS answered that there is no hook to keep alive. */
class Absent extends Error {}

interface HeartbeatResult {
  at: number;
  active: boolean;
}

/** Sends one heartbeat. A hook that is not active (yet) needs no quick retry. */
export async function sendHeartbeat(
  host: Host,
  group: string,
  name: string,
  knownFacts: KnownFacts,
  signal: AbortSignal,
): Promise<HeartbeatResult> {
  const at = host.clock.uptime();
  const active = await callOnce(host, signal, (callSignal) => host.cloud.heartbeat(group, name, callSignal));
  host.log.debug('heartbeat', { hook: name, active });
  if (active) knownFacts.heartbeatAt = at;
  return { at, active };
}

function warnFailed(host: Host, hook: string, error: unknown): undefined {
  host.log.warn('heartbeat failed', { hook, error: messageOf(error) });
}
