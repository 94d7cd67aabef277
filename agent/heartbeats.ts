/** Keeps a lifecycle hook from timing out while the node is busy with what the hook waits for. */

import { messageOf, Refused } from '../core/errors.ts';
import type { Host, LifecycleHook } from '../core/host.ts';
import { spread } from '../core/patience.ts';
import { askOnce } from './asking.ts';

/** Auto Scaling asks for one before the time-out; half of it survives one that is lost. Hooks have 30 s at least. */
export function heartbeatEveryMs({ heartbeatSeconds }: Pick<LifecycleHook, 'heartbeatSeconds'>): number {
  return Math.min(longestSeconds, Math.max(10, heartbeatSeconds / 2)) * 1000;
}

/** Of ten thousand nodes that wait, heartbeats every five minutes alone would be more calls than Auto Scaling takes. */
const longestSeconds = 900;

/** So long before the hook's last moment a node must be done: the end of its time is an ABANDON. */
export const globalMarginMs = 60_000;

/** AWS in trouble is asked again so soon, since a lost heartbeat ends the node. */
const retryMs = 10_000;

/** A hook whose time is not known yet may have half a minute, or an hour while a thousand nodes ask the same. */
const maxRetryMs = 60_000;

/** Of the hook's whole time: thirty tries before it ends, and no more of the fleet's calls than that. */
const retryShare = 1 / 30;

/** The hook of that name, when this node's group has it. */
export async function findHook(
  host: Host,
  group: string,
  name: string,
  signal: AbortSignal,
): Promise<LifecycleHook | undefined> {
  const hooks = await askOnce(host, signal, (inner) => host.cloud.readHooks(group, inner));
  const found = hooks.find((hook) => hook.name === name);
  if (found === undefined) host.log.error('no such hook in the group', { group, hook: name });
  return found;
}

/**
 * Runs until the signal aborts, the group has no such hook, or its global time is nearly over. Never throws. `knownGroup` spares
 * the question where somebody else has asked it.
 */
export async function keepHookAlive(
  host: Host,
  name: string,
  onHook: (hook: LifecycleHook) => void,
  signal: AbortSignal,
  knownGroup: () => string | undefined = () => undefined,
): Promise<void> {
  try {
    const found = await findPatiently(host, name, knownGroup, signal);
    if (found === undefined) return;
    onHook(found.hook);
    const everyMs = heartbeatEveryMs(found.hook);
    const endsAt = host.clock.uptime() + found.hook.globalSeconds * 1000 - globalMarginMs;
    await host.clock.sleep(Math.max(0, everyMs - (host.clock.uptime() - found.beatenAt)), signal);
    while (host.clock.uptime() < endsAt) {
      const beaten = await beat(host, found.group, name, signal);
      const againMs = Math.min(everyMs, Math.max(retryMs, found.hook.heartbeatSeconds * 1000 * retryShare));
      await host.clock.sleep(beaten ? everyMs : spread(againMs), signal);
    }
    host.log.warn('heartbeats end: the hook has no more time', { hook: name });
  } catch (error) {
    if (!signal.aborted) host.log.error('heartbeats failed', { hook: name, error: messageOf(error) });
  }
}

async function findPatiently(
  host: Host,
  name: string,
  knownGroup: () => string | undefined,
  signal: AbortSignal,
): Promise<{ group: string; hook: LifecycleHook; beatenAt: number } | undefined> {
  let group: string | undefined;
  let beatenAt: number | undefined;
  for (let pauseMs = retryMs; ; pauseMs = Math.min(pauseMs * 2, maxRetryMs)) {
    try {
      group ??= knownGroup() ?? (await askOnce(host, signal, (inner) => host.cloud.readMembership(inner)))?.group;
      if (group === undefined) return undefined;
      // First what keeps the node alive, whatever its hook's time is: where thousands ask, each answer may take minutes.
      beatenAt ??= await beatFirst(host, group, name, signal);
      const hook = await findHook(host, group, name, signal);
      return hook === undefined ? undefined : { group, hook, beatenAt };
    } catch (error) {
      signal.throwIfAborted();
      host.log.warn('hook not found yet', { hook: name, error: messageOf(error) });
      await host.clock.sleep(spread(pauseMs), signal);
    }
  }
}

/** When that was. A refusal is no reason to try again: the hook, or its absence, is found out next. */
async function beatFirst(host: Host, group: string, name: string, signal: AbortSignal): Promise<number> {
  const now = host.clock.uptime();
  try {
    const active = await askOnce(host, signal, (inner) => host.cloud.heartbeat(group, name, inner));
    host.log.debug('heartbeat', { hook: name, active });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    host.log.warn('heartbeat failed', { hook: name, error: messageOf(error) });
  }
  return now;
}

/** False only when AWS gave no answer: a hook that is not active (yet) needs no haste. */
async function beat(host: Host, group: string, name: string, signal: AbortSignal): Promise<boolean> {
  try {
    const active = await askOnce(host, signal, (inner) => host.cloud.heartbeat(group, name, inner));
    host.log.debug('heartbeat', { hook: name, active });
    return true;
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('heartbeat failed', { hook: name, error: messageOf(error) });
    return false;
  }
}
