/**
 * What goes wrong between a node and the world: per call, in outages that come and go, and for
 * good.
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

/** What happens to one call. */
export interface CallFate {
  /** Before it takes effect. */
  delayMs: number;
  /** Instead of its effect. */
  fails?: Error;
  /** Never answered, and without effect, or with one after so long. */
  hangs?: true;
  lateMs?: number;
  /** The effect takes place, and this is the answer. */
  lost?: Error;
  /** Counted under this name in the summary. */
  fault?: string;
}

type Kind = 'absent' | 'throttled' | 'hanging' | 'lossy' | 'slow';
const kinds: readonly Kind[] = ['absent', 'throttled', 'hanging', 'lossy', 'slow'];

/** A time in which a share of the calls to one service goes wrong. */
interface Trouble {
  service: Service;
  kind: Kind;
  share: number;
  /** The node that it happens to; undefined: all of them. */
  node: string | undefined;
  until: number;
}

export interface FaultInjector {
  /** Chooses the fate of a call. */
  decide(node: string, service: Service, verb: string): CallFate;
  /** A new trouble, which lasts `ms`. */
  startOutage(ms: number, node: string | undefined): string;
  /** The role may not do this, ever. */
  denied: Set<string>;
  /** With which they are refused. */
  refusalCode: string;
  /** Nothing goes wrong any more. */
  clear(): void;
  /** True when nothing is wrong with this service for this node just now, but for single calls. */
  isHealthy(node: string, service: Service): boolean;
}

export function openFaultInjector(chance: Chance, uptime: () => number, everyDay: number): FaultInjector {
  let troubles: Trouble[] = [];
  let daily = everyDay;
  const denied = new Set<string>();
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
      if (denied.has(verb)) {
        return {
          ...fate,
          fails: new Refused(`not authorized to ${verb}`, { code: faults.refusalCode }),
          fault: 'denied',
        };
      }
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
    clear() {
      troubles = [];
      daily = 0;
    },
    isHealthy: (node, service) => daily === 0 && current(node, service) === undefined,
  };
  return faults;
}

/** Most calls are quick; what is on the machine itself takes no time worth an event. */
function latency(chance: Chance, service: Service): number {
  if (service === 'machine') return 0;
  if (service === 'metadata' || service === 'introspection') return chance.happens(0.9) ? 0 : chance.around(5);
  return Math.round(chance.around(80));
}

/** `late`: what was given up may still take effect, as in AWS, but not on this machine. */
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
 * A disk that is full fails writes; downloads, Docker and systemd fail as networks do. Reading
 * always works.
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
