/**
 * What AWS does on a fine day: a replica that is some seconds behind answers, an answer arrives
 * after newer ones, a call is heard twice. A share of the seeds lives with it, and draws it from a
 * stream of its own: all other seeds mean what they meant without.
 */

import { openChance, type Chance } from './chance.ts';
import { awsServices, type Service } from './fault-injector.ts';

export interface Inconsistency {
  /** For whatever else only restless lives have. */
  chance: Chance;
  /** What happens to one call that nothing else happens to. */
  decide(service: Service, verb: string): Anomaly | undefined;
  /** Nothing of it happens any more. */
  clear(): void;
}

/** One of these. */
export interface Anomaly {
  fault: 'older answer' | 'late answer' | 'heard twice';
  /** Answered by a replica that is so far behind. */
  behindMs?: number;
  /** From the effect to the answer. */
  answerMs?: number;
  /**
   * It takes effect once more, so long after the first time; 0: at once, and that is what is
   * answered.
   */
  againMs?: number;
}

/** Of all seeds. */
const share = 0.4;

/**
 * Another stream than `openChance` draws from the seed alone; with this one the regressions of
 * simulation.test.ts are as they were.
 */
const salt = 0x2545f4a3;

/**
 * Where nobody writes down how soon everybody sees a change, the product waits for 5 s before it
 * believes (agent/leave-queue/leave-queue.ts).
 */
const lags = [1_000, 2_500, 4_500] as const;

/** No replica is further behind. */
export const longestLagMs = Math.max(...lags);

/** Questions about what others change, or the node itself. */
const reads = new Set([
  'readContainerInstance',
  'readTasks',
  'readClusterHealth',
  'readLeaveQueue',
  'readUnsteadyServices',
  'readMembership',
  'readActivities',
  'readTerminationProtection',
  'isTargetDraining',
  'isLoadBalancerDraining',
  'readRegistration',
]);

export function openInconsistency(seed: number): Inconsistency | undefined {
  const chance = openChance(seed ^ salt);
  if (!chance.happens(share)) return undefined;
  const behind = new Map(awsServices.map((service) => [service, chance.pick(lags)]));
  const older = chance.pick([0, 0.1, 0.5]);
  const [late, twice] = [chance.pick([0, 0.01, 0.05]), chance.pick([0, 0.02, 0.2])];
  let isOver = false;
  return {
    chance,
    decide(service, verb) {
      if (isOver || !awsServices.includes(service)) return undefined;
      if (chance.happens(late))
        return { fault: 'late answer', answerMs: chance.around(chance.pick([500, 3_000, 15_000])) };
      if (!reads.has(verb)) return !verb.startsWith('read') && chance.happens(twice) ? hearTwice(chance) : undefined;
      return chance.happens(older) ? { fault: 'older answer', behindMs: behind.get(service)! } : undefined;
    },
    clear: () => void (isOver = true),
  };
}

/** A retry below us, whose first try had arrived; or a request that was held up on its way. */
function hearTwice(chance: Chance): Anomaly {
  return { fault: 'heard twice', againMs: chance.pick([0, 0, chance.around(2_000), chance.around(20_000)]) };
}
