/**
 * Injects faults between a node and the world: in single calls, in outages that come and go, and
 * for ever.
 */

import { Refused, Unavailable } from '../../../core/errors.ts';
import type { Chance } from './chance.ts';

export type Service =
  | 'metadata'
  | 'machine'
  | 'introspection'
  | 'ec2'
  | 'autoscaling'
  | 'ecs'
  | 'elb'
  | 'opsworks'
  | 'ssm'
  | 'cloudwatch';

export const awsServices: readonly Service[] = ['ec2', 'autoscaling', 'ecs', 'elb', 'opsworks', 'ssm', 'cloudwatch'];

/** The fate of one call. */
export interface CallFate {
  /** The delay before the effect. */
  delayMs: number;
  /** The error that replaces the effect. */
  fails?: Error;
  /** The call gets no answer, and has no effect, or one after `lateMs`. */
  hangs?: true;
  lateMs?: number;
  /** The effect takes place, but this error is the answer. */
  lost?: Error;
  /** The name under which the summary counts it. */
  fault?: string;
}

type Kind = 'absent' | 'throttled' | 'hanging' | 'lossy' | 'slow';
const kinds: readonly Kind[] = ['absent', 'throttled', 'hanging', 'lossy', 'slow'];

/** A period in which a share of the calls to one service fails. */
interface Trouble {
  service: Service;
  kind: Kind;
  share: number;
  /** The affected node; undefined means all nodes. */
  node: string | undefined;
  until: number;
}

export interface FaultInjector {
  /** Chooses the fate of a call. */
  decide(node: string, service: Service, verb: string): CallFate;
  /** Starts an outage that lasts `ms`. */
  startOutage(ms: number, node: string | undefined): string;
  /** AWS answers no call of any node for `ms`. */
  failAll(ms: number): void;
  /** The role never allows these calls. */
  denied: Set<string>;
  /** The code of their refusals. */
  refusalCode: string;
  /** The role does not allow these calls for `ms`. */
  withdraw(verbs: readonly string[], ms: number): void;
  /** The uptime since when the role allows the call again; Infinity while it does not. */
  allowedSince(verb: string): number;
  /** Ends all faults. */
  clear(): void;
  /** True if this service has no outage for this node now; single calls may still fail. */
  isHealthy(node: string, service: Service): boolean;
}

export function openFaultInjector(chance: Chance, uptime: () => number, everyDay: number): FaultInjector {
  let troubles: Trouble[] = [];
  let daily = everyDay;
  const denied = new Set<string>();
  /** Until when each of these calls is not allowed. */
  const withdrawn = new Map<string, number>();
  const isWithdrawn = (verb: string) => withdrawn.size > 0 && (withdrawn.get(verb) ?? 0) > uptime();
  const current = (node: string, service: Service) => {
    if (troubles.length === 0) return undefined;
    const now = uptime();
    troubles = troubles.filter(({ until }) => until > now);
    return troubles.find((each) => each.service === service && (each.node ?? node) === node);
  };
  const faults: FaultInjector = {
    denied,
    refusalCode: 'AccessDenied',
    decide(node, service, verb) {
      const fate: CallFate = { delayMs: latency(chance, service) };
      if (denied.has(verb)) return { ...fate, fails: refusal(verb, faults.refusalCode), fault: 'denied' };
      if (isWithdrawn(verb)) return { ...fate, fails: refusal(verb, 'AccessDenied'), fault: 'not allowed for now' };
      const trouble = current(node, service);
      const kind =
        trouble !== undefined && chance.happens(trouble.share)
          ? trouble.kind
          : daily > 0 && chance.happens(daily)
            ? chance.pick(kinds)
            : undefined;
      if (kind === undefined) return fate;
      return service === 'machine'
        ? befallMachine(verb, trouble !== undefined, fate, chance)
        : befall(kind, fate, chance, awsServices.includes(service));
    },
    startOutage(ms, node) {
      const service = chance.pick<Service>(['metadata', 'introspection', 'machine', ...awsServices]);
      const kind = chance.pick(kinds);
      const share = chance.pick([1, 1, 0.5, 0.2]);
      troubles.push({ service, kind, share, node, until: uptime() + ms });
      return `${service} ${kind} (${share}) for ${Math.round(ms / 1000)} s`;
    },
    failAll(ms) {
      const until = uptime() + ms;
      for (const service of awsServices) troubles.push({ service, kind: 'absent', share: 1, node: undefined, until });
    },
    withdraw(verbs, ms) {
      for (const verb of verbs) withdrawn.set(verb, Math.max(withdrawn.get(verb) ?? 0, uptime() + ms));
    },
    allowedSince: (verb) => (denied.has(verb) || isWithdrawn(verb) ? Infinity : (withdrawn.get(verb) ?? 0)),
    clear() {
      troubles = [];
      for (const verb of withdrawn.keys()) withdrawn.set(verb, Math.min(withdrawn.get(verb)!, uptime()));
      daily = 0;
    },
    isHealthy: (node, service) => daily === 0 && current(node, service) === undefined,
  };
  return faults;
}

function refusal(verb: string, code: string): Refused {
  return new Refused(`not authorized to ${verb}`, { code });
}

/** Most calls are quick. A call to the machine itself takes too little time for an event. */
function latency(chance: Chance, service: Service): number {
  if (service === 'machine') return 0;
  if (service === 'metadata' || service === 'introspection') return chance.happens(0.9) ? 0 : chance.around(5);
  return Math.round(chance.around(80));
}

/** `late`: an abandoned call can still take effect in AWS, but not on this machine. */
function befall(kind: Kind, fate: CallFate, chance: Chance, late = false): CallFate {
  switch (kind) {
    case 'absent':
      return { ...fate, fails: new Unavailable('connect ECONNREFUSED'), fault: 'absent' };
    case 'throttled':
      return { ...fate, fails: new Unavailable('ThrottlingException: Rate exceeded'), fault: 'throttled' };
    case 'hanging':
      if (late && chance.happens(0.3))
        return { ...fate, hangs: true, lateMs: chance.around(chance.pick([2_000, 40_000])), fault: 'late effect' };
      return { ...fate, hangs: true, fault: 'hanging' };
    case 'lossy':
      return chance.happens(0.7)
        ? { ...fate, lost: new Unavailable('socket hang up'), fault: 'lost answer' }
        : { ...fate, lost: new Unavailable('InternalFailure'), fault: 'lost answer' };
    case 'slow':
      return { ...fate, delayMs: fate.delayMs + chance.around(chance.pick([2_000, 10_000, 40_000])), fault: 'slow' };
  }
}

/**
 * A full disk fails writes. Downloads, Docker and systemd fail as networks do. Reading always
 * works.
 */
function befallMachine(verb: string, writesFail: boolean, fate: CallFate, chance: Chance): CallFate {
  switch (verb) {
    case 'writeText':
      if (!writesFail) return fate;
      return { ...fate, fails: new Error('ENOSPC: no space left on device, write'), fault: 'disk refuses' };
    case 'unpack':
    case 'probe':
    case 'readStore':
    case 'readImages':
    case 'readContainers':
    case 'removeImage':
    case 'restartUnit':
    case 'readUnitState':
      return befall(chance.pick(['absent', 'hanging', 'slow']), fate, chance);
    case 'measureDisks':
    case 'run':
      return befall('slow', fate, chance);
    default:
      return fate;
  }
}
