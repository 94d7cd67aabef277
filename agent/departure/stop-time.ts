/** The time that this node's tasks may need to stop, and the tasks that ECS protects. */

import { isDenied, messageOf } from '../../core/errors.ts';
import type { CloudTask, Host } from '../../core/host.ts';
import { openLasting, openLastingOfEach } from '../../core/lasting.ts';
import { callOnce } from '../calls.ts';
import { readEcsConfig } from '../ecs-settings.ts';

/** The ECS agent's default between SIGTERM and SIGKILL. */
const defaultStopMs = 30_000;

/** The shortest time that the ECS agent gives. */
const leastStopMs = 1_000;

const assignment = 'ECS_CONTAINER_STOP_TIMEOUT=';

/**
 * A killed task is STOPPED for the agent, and then for ECS, some seconds later: five of six needed
 * 0.4 s more than the timeout.
 */
const reportMs = 5_000;

/**
 * A refusal must last this long before it means that the role lacks the permission, and an answer
 * that a task is unprotected before the task may be stopped. One refusal stopped protected tasks,
 * and killed tasks that need longer than the default.
 */
export const refusalLastsMs = 60_000;

/**
 * ECS is asked once more for the stop timeout of a task that was told to stop, this long after its
 * first answer. One answer that left out a container's timeout killed the task early. The second
 * answer must come within the same time.
 */
const againMs = 5_000;

/** A definition's stop timeout, and the uptime at which ECS is asked once more. */
interface KnownTime {
  ms: number;
  againAt: number;
}

export interface StopTimes {
  /**
   * The longest time that one of these tasks may take after StopTask. `unknownMs`, or else the
   * default, stands for what is unknown, and each call asks again for that. `unknownMs` is for
   * tasks that were told to stop: ECS is asked twice for their timeouts, and the longer one counts.
   */
  longestMs(tasks: readonly Pick<CloudTask, 'definition'>[], signal: AbortSignal, unknownMs?: number): Promise<number>;
  protectionOf(tasks: readonly CloudTask[], signal: AbortSignal): Promise<Protection>;
}

/** ECS's protection of tasks from being stopped (ARNs). */
export interface Protection {
  /** ECS says so now. */
  certain: ReadonlySet<string>;
  /** The tasks that may be protected: the opposite is not known, or not for long enough. */
  possible: ReadonlySet<string>;
}

export function openStopTimes(host: Host, cluster: string): StopTimes {
  const known = new Map<string, KnownTime>();
  let agentMs: number | undefined;
  const isTimeoutRefused = openLasting(host.clock, refusalLastsMs);
  const isProtectionRefused = openLasting(host.clock, refusalLastsMs);
  const isUnprotected = openLastingOfEach(host.clock, refusalLastsMs);
  const warned = new Set<string>();
  const warnOnce = (message: string, error: unknown, fields = {}) => {
    const line = { ...fields, error: messageOf(error) };
    if (!warned.has(message + JSON.stringify(line))) host.log.warn(message, line);
    warned.add(message + JSON.stringify(line));
  };

  const readOne = async (definition: string, signal: AbortSignal, unknownMs?: number): Promise<number> => {
    const fallbackMs = agentMs ?? defaultStopMs;
    const read = (callSignal: AbortSignal) => host.cloud.readStopTimeout(definition, fallbackMs, callSignal);
    const found = known.get(definition);
    if (found !== undefined) return unknownMs === undefined ? found.ms : readAgain(host, found, read, signal);
    // ECS's answer contains the fallback where the task sets none, so a default is not kept.
    const keep = (ms: number, againAt: number) => agentMs !== undefined && known.set(definition, { ms, againAt });
    try {
      const ms = await callOnce(host, signal, read);
      isTimeoutRefused(false);
      keep(ms, host.clock.uptime() + againMs);
      return ms;
    } catch (error) {
      signal.throwIfAborted();
      // Without the permission, the agent's default applies for good.
      const isDefault = isDenied(error) && isTimeoutRefused(true);
      if (isDefault) keep(fallbackMs, Infinity);
      warnOnce('stop timeout not known', error, { definition });
      return isDefault ? fallbackMs : (unknownMs ?? fallbackMs);
    }
  };

  return {
    async longestMs(tasks, signal, unknownMs) {
      agentMs ??= await readAgentStopMs(host);
      const definitions = [...new Set(tasks.map(({ definition }) => definition))].filter(Boolean);
      const all = await Promise.all(definitions.map((each) => readOne(each, signal, unknownMs)));
      return Math.max(agentMs ?? defaultStopMs, ...all) + reportMs;
    },
    async protectionOf(tasks, signal) {
      // ECS protects only tasks of services.
      const arns = tasks.filter(({ group }) => group.startsWith('service:')).map(({ arn }) => arn);
      const none = new Set<string>();
      if (arns.length === 0) return { certain: none, possible: none };
      try {
        const found = await callOnce(host, signal, (callSignal) =>
          host.cloud.readProtectedTasks(cluster, arns, callSignal),
        );
        isProtectionRefused(false);
        const free = isUnprotected(arns.filter((arn) => !found.includes(arn)));
        return { certain: new Set(found), possible: new Set(arns.filter((arn) => !free.includes(arn))) };
      } catch (error) {
        signal.throwIfAborted();
        if (!isDenied(error) || !isProtectionRefused(true)) return { certain: none, possible: new Set(arns) };
        warnOnce('task protection not read: tasks are stopped as if unprotected', error);
        return { certain: none, possible: none };
      }
    },
  };
}

/** Reads a second time, once, when it is time for that. The longer answer counts. */
async function readAgain(
  host: Host,
  found: KnownTime,
  read: (signal: AbortSignal) => Promise<number>,
  signal: AbortSignal,
): Promise<number> {
  if (host.clock.uptime() < found.againAt) return found.ms;
  found.againAt = Infinity;
  try {
    found.ms = Math.max(found.ms, await callOnce(host, signal, read, againMs));
  } catch {
    signal.throwIfAborted();
  }
  return found.ms;
}

const unitNs: Readonly<Record<string, number>> = {
  h: 3.6e12,
  m: 6e10,
  s: 1e9,
  ms: 1e6,
  us: 1e3,
  '\u00b5s': 1e3,
  '\u03bcs': 1e3,
  ns: 1,
};

/** Go keeps a duration as nanoseconds in a signed 64-bit integer, and refuses longer ones. */
const longestNs = 2 ** 63;

/**
 * Reads `ECS_CONTAINER_STOP_TIMEOUT` as ecs-init and the ECS agent do (agent/config/parse.go): a Go
 * duration (`10m`, `1h30m`, `.5h`), without quotes. The last assignment counts. Zero or an invalid
 * value means the default. Less than one second, or less than zero, means one second.
 */
export function parseStopTimeout(ecsConfig: string | undefined): number {
  const lines = (ecsConfig ?? '').split('\n').map((line) => line.trim());
  const value = lines.findLast((line) => line.startsWith(assignment))?.slice(assignment.length) ?? '';
  if (!/^[+-]?((\d+\.?\d*|\.\d+)(h|ms|m|s|[u\u00b5\u03bc]s|ns))+$/.test(value)) return defaultStopMs;
  const parts = [...value.matchAll(/(\d+\.?\d*|\.\d+)(ms|[u\u00b5\u03bcn]s|h|m|s)/g)];
  const ns = parts.reduce((sum, [, count, name = 's']) => sum + Math.trunc(Number(count) * (unitNs[name] ?? 0)), 0);
  if (ns === 0 || ns >= longestNs) return defaultStopMs;
  return value.startsWith('-') ? leastStopMs : Math.max(leastStopMs, ns / 1e6);
}

/** Undefined after a failed read. */
async function readAgentStopMs({ machine }: Host): Promise<number | undefined> {
  return readEcsConfig(machine).then(parseStopTimeout, () => undefined);
}
