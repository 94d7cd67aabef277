/** Keeps a lifecycle hook from timing out while the node is busy with what the hook waits for. */

import type { Config } from '../core/config.ts';
import { messageOf, Refused } from '../core/errors.ts';
import type { Host, LifecycleHook } from '../core/host.ts';
import { spread } from '../core/patience.ts';
import { askOnce } from './asking.ts';
import { isFirstBoot } from './first-boot.ts';
import { readGroup, type Sighting } from './sighting.ts';

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

/** Of the time that the hook has left, so that of thousands that ask whoever is nearest to its end is heard first; some fifty tries from half of it on. */
const retryShare = 1 / 15;

const retryAfterMs = (leftMs: number) => spread(Math.max(retryMs, leftMs * retryShare));

/** Auto Scaling's own rule. */
const globalSecondsOf = (heartbeatSeconds: number) => Math.min(172_800, 100 * heartbeatSeconds);

/**
 * Until the launch hook may need its first heartbeat: `quietMs`, or much later in the launch's own boot where the configuration
 * says how long the hook waits. Half of that is left then: of ten thousand nodes each may need minutes to be heard.
 */
export async function untilBeatIsDue(host: Host, config: Config, quietMs: number, signal: AbortSignal): Promise<void> {
  await host.clock.sleep(quietMs, signal);
  const { launchHookSeconds } = config.autoScaling;
  if (launchHookSeconds === undefined || !(await isFirstBoot(host))) return;
  const dueAt = spread(launchHookSeconds * 500);
  await host.clock.sleep(Math.max(0, dueAt - host.clock.uptime()), signal);
}

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

/** How long a hook waits. */
export type Times = Pick<LifecycleHook, 'heartbeatSeconds' | 'globalSeconds'>;

/** What spares questions. */
export interface Known {
  /** Where somebody else may have asked for the group's name. */
  sighting?: Sighting | undefined;
  /** Between two heartbeats, where the configuration says it. */
  heartbeatSeconds?: number | undefined;
}

/** Runs until the signal aborts, the group has no such hook, or its global time is nearly over. Never throws. */
export async function keepHookAlive(
  host: Host,
  name: string,
  onHook: (hook: Times) => void,
  signal: AbortSignal,
  known: Known = {},
): Promise<void> {
  try {
    const { heartbeatSeconds, sighting = {} } = known;
    await untilNextIsDue(host, known, signal);
    const found = await findPatiently(host, name, { heartbeatSeconds, sighting }, signal);
    if (found === undefined) return;
    onHook(found.hook);
    const everyMs = heartbeatEveryMs(found.hook);
    const endsAt = host.clock.uptime() + found.hook.globalSeconds * 1000 - globalMarginMs;
    let answeredAt = found.beatenAt;
    await host.clock.sleep(Math.max(0, everyMs - (host.clock.uptime() - answeredAt)), signal);
    while (host.clock.uptime() < endsAt) {
      const answered = await beat(host, found.group, name, sighting, signal);
      if (answered) answeredAt = host.clock.uptime();
      const leftMs = answeredAt + found.hook.heartbeatSeconds * 1000 - host.clock.uptime();
      await host.clock.sleep(answered ? everyMs : Math.min(everyMs, retryAfterMs(leftMs)), signal);
    }
    host.log.warn('heartbeats end: the hook has no more time', { hook: name });
  } catch (error) {
    if (!signal.aborted) host.log.error('heartbeats failed', { hook: name, error: messageOf(error) });
  }
}

/** The last one, of whatever the node did then, still holds: a node that tries to join again and again needs no more of them. */
async function untilNextIsDue(host: Host, { heartbeatSeconds, sighting }: Known, signal: AbortSignal): Promise<void> {
  if (heartbeatSeconds === undefined || sighting?.beatenAt === undefined) return;
  const dueAt = sighting.beatenAt + heartbeatEveryMs({ heartbeatSeconds });
  await host.clock.sleep(Math.max(0, dueAt - host.clock.uptime()), signal);
}

async function findPatiently(
  host: Host,
  name: string,
  { heartbeatSeconds, sighting }: Known & { sighting: Sighting },
  signal: AbortSignal,
): Promise<{ group: string; hook: Times; beatenAt: number } | undefined> {
  sighting.firstDueAt ??= host.clock.uptime();
  let beaten: Beat | undefined;
  for (let pauseMs = retryMs; ; pauseMs = Math.min(pauseMs * 2, maxRetryMs)) {
    try {
      const group = await readGroup(host, sighting, signal);
      if (group === undefined) return undefined;
      // First what keeps the node alive, whatever its hook's time is: where thousands ask, each answer may take minutes.
      beaten ??= await beatFirst(host, group, name, sighting, signal);
      const { at: beatenAt, active } = beaten;
      if (active && heartbeatSeconds !== undefined) {
        return { group, hook: { heartbeatSeconds, globalSeconds: globalSecondsOf(heartbeatSeconds) }, beatenAt };
      }
      const hook = await findHook(host, group, name, signal);
      return hook === undefined ? undefined : { group, hook, beatenAt };
    } catch (error) {
      signal.throwIfAborted();
      host.log.warn('hook not found yet', { hook: name, error: messageOf(error) });
      // Of the hook, not of this try: who is held begins anew every few minutes.
      const dueAt =
        sighting.beatenAt === undefined ? sighting.firstDueAt : sighting.beatenAt + (heartbeatSeconds ?? 0) * 500;
      const leftMs = dueAt + (heartbeatSeconds ?? 0) * 500 - host.clock.uptime();
      const isKnown = heartbeatSeconds !== undefined && beaten === undefined;
      await host.clock.sleep(isKnown ? retryAfterMs(leftMs) : spread(pauseMs), signal);
    }
  }
}

interface Beat {
  at: number;
  active: boolean;
}

/** A refusal is no reason to try again: the hook, or its absence, is found out next. */
async function beatFirst(
  host: Host,
  group: string,
  name: string,
  sighting: Sighting,
  signal: AbortSignal,
): Promise<Beat> {
  try {
    return await send(host, group, name, sighting, signal);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    host.log.warn('heartbeat failed', { hook: name, error: messageOf(error) });
    return { at: host.clock.uptime(), active: false };
  }
}

async function send(host: Host, group: string, name: string, sighting: Sighting, signal: AbortSignal): Promise<Beat> {
  const at = host.clock.uptime();
  const active = await askOnce(host, signal, (inner) => host.cloud.heartbeat(group, name, inner));
  host.log.debug('heartbeat', { hook: name, active });
  if (active) sighting.beatenAt = at;
  return { at, active };
}

/** False only when AWS gave no answer: a hook that is not active (yet) needs no haste. */
async function beat(
  host: Host,
  group: string,
  name: string,
  sighting: Sighting,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await send(host, group, name, sighting, signal);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('heartbeat failed', { hook: name, error: messageOf(error) });
    return false;
  }
}
