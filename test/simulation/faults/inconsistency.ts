/**
 * The behaviour of AWS without any fault: an outdated replica answers, an answer arrives after
 * newer ones, a call takes effect twice. A share of the seeds has it, and draws it from a random
 * stream of its own, so that all other seeds keep their lives.
 */

import { openChance, type Chance } from './chance.ts';
import { awsServices, type Service } from './fault-injector.ts';

export interface Inconsistency {
  /** Draws the other events that only these lives have. */
  chance: Chance;
  /** Decides the anomaly of a call that has no other fault. */
  decide(service: Service, verb: string): Anomaly | undefined;
  /** Ends all anomalies. */
  clear(): void;
}

/** One anomaly of a call. */
export interface Anomaly {
  fault: 'older answer' | 'late answer' | 'heard twice';
  /** A replica answers that is this far behind. */
  behindMs?: number;
  /** The delay from the effect to the answer. */
  answerMs?: number;
  /**
   * The call takes effect a second time after this delay. With 0 it does so at once, and the second
   * result is the answer.
   */
  againMs?: number;
}

/** The share of all seeds with anomalies. */
const share = 0.4;

/**
 * Gives another stream than `openChance` draws from the seed alone. With this value the regressions
 * of simulation.test.ts keep their lives.
 */
const salt = 0x2545f4a3;

/**
 * AWS does not document how soon a change is visible everywhere. The product waits for 5 s before
 * it relies on it (agent/leave-queue/leave-queue.ts).
 */
const lags = [1_000, 2_500, 4_500] as const;

/** No replica is further behind. */
export const longestLagMs = Math.max(...lags);

/** Reads of data that other programs, or the node itself, can change. */
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

/** The SDK retried a call whose first attempt had arrived, or the network delayed a request. */
function hearTwice(chance: Chance): Anomaly {
  return { fault: 'heard twice', againMs: chance.pick([0, 0, chance.around(2_000), chance.around(20_000)]) };
}
