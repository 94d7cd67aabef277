/** Keeps a lifecycle hook from timing out while the node works on the task of the hook. */

import type { Config } from '../../config/config.ts';
import { messageOf, Refused } from '../../core/errors.ts';
import type { Host, LifecycleHook } from '../../core/host.ts';
import { jitter } from '../../core/retry.ts';
import { callOnce } from '../calls.ts';
import { isFirstBoot } from './first-boot.ts';
import { doubtGroup, readGroup, type KnownFacts } from '../known-facts.ts';
import { maxRetryMs, openHookTimes, retryMs, type HookTimes } from './hook-times.ts';

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

/** A hook whose time is unknown may have 30 s. */
const shortestHook = { heartbeatSeconds: 30 };
const shortestEveryMs = heartbeatEveryMs(shortestHook);

/** A node must finish this long before the hook's global time is over: that end is an ABANDON. */
export const globalMarginMs = 60_000;

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
    const { hook, heartbeatAt } = await findHookWithRetry(host, name, { heartbeatSeconds, knownFacts }, signal);
    onHook(hook);
    const everyMs = heartbeatEveryMs(hook);
    const endsAt = host.clock.uptime() + hook.globalSeconds * 1000 - globalMarginMs;
    let answeredAt = heartbeatAt;
    await host.clock.sleep(Math.max(0, everyMs - (host.clock.uptime() - answeredAt)), signal);
    while (host.clock.uptime() < endsAt) {
      const heartbeat = await tryHeartbeat(host, name, knownFacts, signal);
      const isAnswered = typeof heartbeat === 'object' && heartbeat.isRefused !== true;
      const doubtfulMs = isAnswered && !heartbeat.active ? stillActiveMs(host, hook, knownFacts) : 0;
      if (doubtfulMs > 0) {
        await host.clock.sleep(Math.min(everyMs, jitter(Math.max(retryMs, doubtfulMs / 2))), signal);
        continue;
      }
      if (isAnswered) answeredAt = host.clock.uptime();
      const leftMs = answeredAt + hook.heartbeatSeconds * 1000 - host.clock.uptime();
      await host.clock.sleep(isAnswered ? everyMs : Math.min(everyMs, retryAfterMs(leftMs)), signal);
    }
    host.log.warn('heartbeats end: the hook has no more time', { hook: name });
  } catch (error) {
    if (!signal.aborted) host.log.error('heartbeats failed', { hook: name, error: messageOf(error) });
  }
}

/**
 * The time that the last accepted heartbeat leaves the hook. "Not active" may be one wrong answer
 * then, and the next regular heartbeat would come too late. Retrying after half of this time costs
 * about ten calls where the hook is truly over.
 */
function stillActiveMs(
  { clock }: Host,
  { heartbeatSeconds }: Pick<HookTimes, 'heartbeatSeconds'>,
  { heartbeatAt }: KnownFacts,
): number {
  return (heartbeatAt ?? -Infinity) + heartbeatSeconds * 1000 - clock.uptime();
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
  hook: HookTimes;
  heartbeatAt: number;
}

/**
 * Sends heartbeats as for the shortest hook until the times of the hook are known. Auto Scaling may
 * not tell them for minutes, or never to this role.
 */
async function findHookWithRetry(
  host: Host,
  name: string,
  { heartbeatSeconds, knownFacts }: HeartbeatHints & { knownFacts: KnownFacts },
  signal: AbortSignal,
): Promise<FoundHook> {
  const { clock } = host;
  knownFacts.firstHeartbeatDueAt ??= clock.uptime();
  const times = openHookTimes(host, name, shortestEveryMs);
  let last: Heartbeat | undefined;
  let wasActive = false;
  for (let pauseMs = retryMs; ;) {
    // The heartbeat comes first, because it keeps the node alive whatever its hook's time is.
    // Among thousands of nodes, each answer may take minutes.
    const heartbeat = await tryHeartbeat(host, name, knownFacts, signal);
    if (typeof heartbeat === 'object') last = heartbeat;
    const isActive = heartbeat !== 'none' && heartbeat?.active === true;
    wasActive ||= isActive;
    if (last !== undefined && isActive && heartbeatSeconds !== undefined) {
      const hook = { heartbeatSeconds, globalSeconds: globalSecondsOf(heartbeatSeconds) };
      return { hook, heartbeatAt: last.at };
    }
    const mayRead = last !== undefined && heartbeat !== 'none';
    const hook = mayRead ? await times.read(last!.group, !last!.active, signal) : undefined;
    if (typeof hook === 'object') return { hook, heartbeatAt: wasActive ? knownFacts.heartbeatAt! : last!.at };
    if (typeof heartbeat === 'object' && !heartbeat.active && stillActiveMs(host, shortestHook, knownFacts) > 0) {
      await clock.sleep(jitter(retryMs), signal);
      continue;
    }
    if (typeof heartbeat === 'object' && (heartbeat.active || times.isListed())) {
      // Heartbeats that failed before show that Auto Scaling is busy.
      pauseMs = Math.max(retryMs, pauseMs / 2);
      await clock.sleep(Math.max(0, heartbeat.at + Math.max(shortestEveryMs, pauseMs) - clock.uptime()), signal);
      continue;
    }
    const isKnown = heartbeatSeconds !== undefined && heartbeat === undefined;
    await clock.sleep(isKnown ? retryAfterMs(leftMsOf(host, knownFacts, heartbeatSeconds)) : jitter(pauseMs), signal);
    // One answer without the hook may be wrong, so the node asks again: rarely, unless a hook was
    // active.
    const isAbsent = heartbeat === 'none' || hook === 'none';
    pauseMs = Math.min(pauseMs * 2, isAbsent && !wasActive ? longestSeconds * 1000 : maxRetryMs);
  }
}

/**
 * Counted from the hook's last heartbeat, not from this try: a held node starts a new try every few
 * minutes.
 */
function leftMsOf({ clock }: Host, { heartbeatAt, firstHeartbeatDueAt }: KnownFacts, heartbeatSeconds: number): number {
  const halfMs = heartbeatSeconds * 500;
  const dueAt = heartbeatAt === undefined ? (firstHeartbeatDueAt ?? clock.uptime()) : heartbeatAt + halfMs;
  return dueAt + halfMs - clock.uptime();
}

interface Heartbeat extends HeartbeatResult {
  group: string;
  isRefused?: true;
}

/** Undefined where the heartbeat has no answer, `none` where the node is in no group. */
async function tryHeartbeat(
  host: Host,
  name: string,
  knownFacts: KnownFacts,
  signal: AbortSignal,
): Promise<Heartbeat | 'none' | undefined> {
  const at = host.clock.uptime();
  let group: string | undefined;
  try {
    group = await readGroup(host, knownFacts, signal);
    if (group === undefined) return 'none';
    const heartbeat = await sendHeartbeat(host, group, name, knownFacts, signal);
    if (!heartbeat.active) doubtGroup(knownFacts, at);
    return { group, ...heartbeat };
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('heartbeat failed', { hook: name, error: messageOf(error) });
    // A refusal needs no quick retry: the list of hooks tells whether the hook exists.
    if (group === undefined || !(error instanceof Refused)) return undefined;
    doubtGroup(knownFacts, at);
    return { group, at, active: false, isRefused: true };
  }
}

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
