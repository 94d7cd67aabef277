/** Keeps a lifecycle hook from timing out while the node is busy with what the hook waits for. */

import type { Config } from '../../config/config.ts';
import { messageOf, Refused } from '../../core/errors.ts';
import type { Host, LifecycleHook } from '../../core/host.ts';
import { jitter } from '../../core/retry.ts';
import { callOnce } from '../calls.ts';
import { isFirstBoot } from './first-boot.ts';
import { readGroup, type KnownFacts } from '../known-facts.ts';

/**
 * Auto Scaling asks for one before the time-out; half of it survives one that is lost. Hooks have
 * 30 s at least.
 */
export function heartbeatEveryMs({ heartbeatSeconds }: Pick<LifecycleHook, 'heartbeatSeconds'>): number {
  return Math.min(longestSeconds, Math.max(10, heartbeatSeconds / 2)) * 1000;
}

/**
 * Of ten thousand nodes that wait, heartbeats every five minutes alone would be more calls than
 * Auto Scaling takes.
 */
const longestSeconds = 900;

/** So long before the hook's last moment a node must be done: the end of its time is an ABANDON. */
export const globalMarginMs = 60_000;

/** AWS in trouble is asked again so soon, since a lost heartbeat ends the node. */
const retryMs = 10_000;

/**
 * A hook whose time is not known yet may have half a minute, or an hour while a thousand nodes ask
 * the same.
 */
const maxRetryMs = 60_000;

/**
 * Of the time that the hook has left, so that of thousands that ask whoever is nearest to its end
 * is heard first; some fifty tries from half of it on.
 */
const retryShare = 1 / 15;

const retryAfterMs = (leftMs: number) => jitter(Math.max(retryMs, leftMs * retryShare));

/** Auto Scaling's own rule. */
const globalSecondsOf = (heartbeatSeconds: number) => Math.min(172_800, 100 * heartbeatSeconds);

/**
 * Until the launch hook may need its first heartbeat: `quietMs`, or much later in the launch's own
 * boot where the configuration says how long the hook waits. Half of that is left then: of ten
 * thousand nodes each may need minutes to be heard.
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

/** The hook of that name, when this node's group has it. */
export async function findHook(
  host: Host,
  group: string,
  name: string,
  signal: AbortSignal,
): Promise<LifecycleHook | undefined> {
  const hooks = await callOnce(host, signal, (callSignal) => host.cloud.readHooks(group, callSignal));
  const found = hooks.find((hook) => hook.name === name);
  // A group need not have the hooks that nodes complete by default.
  if (found === undefined) host.log.info('no such hook in the group', { group, hook: name });
  return found;
}

/** How long a hook waits. */
export type HookTimes = Pick<LifecycleHook, 'heartbeatSeconds' | 'globalSeconds'>;

/** What spares questions. */
export interface HeartbeatHints {
  /** Where somebody else may have asked for the group's name. */
  knownFacts?: KnownFacts | undefined;
  /** Between two heartbeats, where the configuration says it. */
  heartbeatSeconds?: number | undefined;
}

/**
 * Runs until the signal aborts, the group has no such hook, or its global time is nearly over.
 * Never throws.
 */
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
    if (found === undefined) return;
    onHook(found.hook);
    const everyMs = heartbeatEveryMs(found.hook);
    const endsAt = host.clock.uptime() + found.hook.globalSeconds * 1000 - globalMarginMs;
    let answeredAt = found.heartbeatAt;
    await host.clock.sleep(Math.max(0, everyMs - (host.clock.uptime() - answeredAt)), signal);
    while (host.clock.uptime() < endsAt) {
      const answered = await trySendHeartbeat(host, found.group, name, knownFacts, signal);
      if (answered) answeredAt = host.clock.uptime();
      const leftMs = answeredAt + found.hook.heartbeatSeconds * 1000 - host.clock.uptime();
      await host.clock.sleep(answered ? everyMs : Math.min(everyMs, retryAfterMs(leftMs)), signal);
    }
    host.log.warn('heartbeats end: the hook has no more time', { hook: name });
  } catch (error) {
    if (!signal.aborted) host.log.error('heartbeats failed', { hook: name, error: messageOf(error) });
  }
}

/**
 * The last one, of whatever the node did then, still holds: a node that tries to join again and
 * again needs no more of them.
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

async function findHookWithRetry(
  host: Host,
  name: string,
  { heartbeatSeconds, knownFacts }: HeartbeatHints & { knownFacts: KnownFacts },
  signal: AbortSignal,
): Promise<{ group: string; hook: HookTimes; heartbeatAt: number } | undefined> {
  knownFacts.firstHeartbeatDueAt ??= host.clock.uptime();
  let firstHeartbeat: HeartbeatResult | undefined;
  for (let pauseMs = retryMs; ; pauseMs = Math.min(pauseMs * 2, maxRetryMs)) {
    try {
      const group = await readGroup(host, knownFacts, signal);
      if (group === undefined) return undefined;
      // First what keeps the node alive, whatever its hook's time is: where thousands ask, each
      // answer may take minutes.
      firstHeartbeat ??= await sendFirstHeartbeat(host, group, name, knownFacts, signal);
      const { at: heartbeatAt, active } = firstHeartbeat;
      if (active && heartbeatSeconds !== undefined) {
        return { group, hook: { heartbeatSeconds, globalSeconds: globalSecondsOf(heartbeatSeconds) }, heartbeatAt };
      }
      const hook = await findHook(host, group, name, signal);
      return hook === undefined ? undefined : { group, hook, heartbeatAt };
    } catch (error) {
      signal.throwIfAborted();
      host.log.warn('hook not found yet', { hook: name, error: messageOf(error) });
      // Of the hook, not of this try: who is held begins anew every few minutes.
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

interface HeartbeatResult {
  at: number;
  active: boolean;
}

/** A refusal is no reason to try again: the hook, or its absence, is found out next. */
async function sendFirstHeartbeat(
  host: Host,
  group: string,
  name: string,
  knownFacts: KnownFacts,
  signal: AbortSignal,
): Promise<HeartbeatResult> {
  try {
    return await sendHeartbeat(host, group, name, knownFacts, signal);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    host.log.warn('heartbeat failed', { hook: name, error: messageOf(error) });
    return { at: host.clock.uptime(), active: false };
  }
}

async function sendHeartbeat(
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

/** False only when AWS gave no answer: a hook that is not active (yet) needs no haste. */
async function trySendHeartbeat(
  host: Host,
  group: string,
  name: string,
  knownFacts: KnownFacts,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await sendHeartbeat(host, group, name, knownFacts, signal);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('heartbeat failed', { hook: name, error: messageOf(error) });
    return false;
  }
}
