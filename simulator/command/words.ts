/**
 * Parses the small languages of the command line: durations, faults, rate limits, hooks, events.
 */

import type { FaultEffect, FaultRule, RateLimit } from '../faults.ts';
import type { HookOptions } from '../options.ts';
import { maintenanceCodes } from '../world/notices.ts';

export class UsageError extends Error {}

const units: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `20s`, `500ms`, `2m`; a bare number is seconds. */
export function parseDuration(text: string): number {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  if (!found) throw new UsageError(`not a duration: "${text}"; write 500ms, 20s, 2m or 1h`);
  return Number(found[1]) * units[found[2] ?? 's']!;
}

const serviceNames =
  'ec2 autoscaling ecs opsworks ssm elbv2 elb cloudwatch sts application-autoscaling imds introspection'.split(' ');

const faultForm =
  'SERVICE[:OPERATION] EFFECT [xTIMES] [from NTH] [PERCENT%], with SERVICE or "any", and EFFECT one of throttle, error=CODE[/STATUS], latency=500ms, hang, cut, refuse, html';

/** `ecs:UpdateContainerInstancesState throttle x3` */
export function parseFault(text: string): FaultRule {
  const fail = (problem: string): never => {
    throw new UsageError(`fault "${text}": ${problem}; write ${faultForm}`);
  };
  const [where = '', what = '', ...rest] = text.trim().split(/\s+/);
  const [service = '', operation] = where.split(':');
  if (service !== 'any' && !serviceNames.includes(service)) fail(`no service "${service}"`);
  const rule: FaultRule = {
    ...(service !== 'any' && { service }),
    ...(operation !== undefined && { operation }),
    effect: parseEffect(what) ?? fail(`no effect "${what}"`),
  };
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (/^x\d+$/.test(word)) rule.times = Number(word.slice(1));
    else if (/^\d+(\.\d+)?%$/.test(word)) rule.probability = Number(word.slice(0, -1)) / 100;
    else if (word === 'from' && /^\d+$/.test(rest[0] ?? '')) rule.nth = Number(rest.shift());
    else fail(`"${word}" is not understood`);
  }
  return rule;
}

function parseEffect(text: string): FaultEffect | undefined {
  const [kind = '', value = ''] = text.split('=');
  switch (kind) {
    case 'throttle':
    case 'hang':
    case 'cut':
    case 'refuse':
    case 'html':
      return { kind };
    case 'latency':
      return { kind, ms: parseDuration(value) };
    case 'error': {
      const [code = '', status] = value.split('/');
      return code === '' ? undefined : { kind, code, ...(status !== undefined && { status: Number(status) }) };
    }
    default:
      return undefined;
  }
}

/** `opsworks 2/s`, `ecs:DescribeTasks 20/s burst 40` */
export function parseLimit(text: string): RateLimit {
  const found = /^(\w+)(?::(\w+))?\s+(\d+(?:\.\d+)?)\/s(?:\s+burst\s+(\d+))?$/.exec(text.trim());
  if (!found || !serviceNames.includes(found[1]!)) {
    throw new UsageError(`limit "${text}"; write SERVICE[:OPERATION] 2/s [burst 5]`);
  }
  const perSecond = Number(found[3]);
  const burst = Number(found[4] ?? Math.max(1, perSecond));
  return { service: found[1]!, ...(found[2] !== undefined && { operation: found[2] }), perSecond, burst };
}

/** `terminate:NAME` or `terminate:NAME:300` with the heartbeat timeout in seconds. */
export function parseHook(text: string): HookOptions {
  const [transition, name, seconds, ...more] = text.split(':');
  const known = transition === 'launch' || transition === 'terminate';
  if (!known || !name || more.length > 0 || (seconds !== undefined && !/^\d+$/.test(seconds))) {
    throw new UsageError(
      `hook "${text}"; write launch:NAME or terminate:NAME, with :SECONDS for its heartbeat timeout`,
    );
  }
  return { name, transition, ...(seconds !== undefined && { heartbeatSeconds: Number(seconds) }) };
}

export interface TimedEvent {
  afterMs: number;
  name: string;
  /** The text after the colon. */
  value: string | undefined;
  /** The node's number, from 1. */
  node: number;
}

export const eventNames: Readonly<Record<string, string>> = {
  spot: 'spot interruption in two minutes; spot:stop, spot:hibernate',
  rebalance: 'rebalance recommendation',
  maintenance: 'scheduled maintenance; maintenance:instance-retirement',
  'scale-in': "lowers the group's desired capacity by one",
  'scale-out': "raises the group's desired capacity by one",
  terminate: 'TerminateInstances, without hooks',
  protect: 'termination protection on',
  unprotect: 'termination protection off',
  'ecs-agent': 'the ECS agent starts; ecs-agent:CLUSTER',
  'stop-ecs-agent': 'the ECS agent stops',
  disconnect: 'the ECS agent loses its connection',
  reconnect: 'the ECS agent connects again',
  'target-state': 'IMDS reports this target state; target-state:Terminated',
  'imds-down': 'the metadata service refuses connections',
  'imds-up': 'the metadata service answers again',
};

/**
 * The values allowed after the colon. `any` allows every value; an event without an entry takes
 * none.
 */
const eventValues: Readonly<Record<string, readonly string[] | 'any'>> = {
  spot: ['terminate', 'stop', 'hibernate'],
  maintenance: maintenanceCodes,
  'ecs-agent': 'any',
  'target-state': 'any',
};

/** `20s spot`, `1m maintenance:instance-retirement@2` */
export function parseEvent(after: string, what: string): TimedEvent {
  const found = /^([a-z-]+)(?::([\w:-]+))?(?:@(\d+))?$/.exec(what);
  if (!found || !Object.hasOwn(eventNames, found[1]!)) {
    throw new UsageError(
      `no event "${what}"; there are ${Object.keys(eventNames).join(', ')}, each with @2 for the second node`,
    );
  }
  const [, name = '', value] = found;
  const values = eventValues[name] ?? [];
  if (value !== undefined && values !== 'any' && !values.includes(value)) {
    const known = values.map((each) => `${name}:${each}`).join(', ');
    throw new UsageError(`no event "${what}"; write ${[name, known].filter(Boolean).join(', ')}`);
  }
  return { afterMs: parseDuration(after), name: found[1]!, value: found[2], node: Number(found[3] ?? 1) };
}

/** Renders the event as the user wrote it: `maintenance:instance-retirement@2`. */
export function renderTimed({ name, value, node }: TimedEvent): string {
  return `${name}${value === undefined ? '' : `:${value}`}${node === 1 ? '' : `@${node}`}`;
}
