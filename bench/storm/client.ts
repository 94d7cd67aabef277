/**
 * A client of AWS: each call takes a token and some time, and a throttled call is repeated as the
 * real client does.
 */

import { Unavailable } from '../../core/errors.ts';
import type { Chance } from '../../test/simulation/faults/chance.ts';
import type { Admission } from './limits.ts';
import { count, type Traffic } from './traffic.ts';

export interface Client {
  /** Throws Unavailable when the client gives up. */
  call(action: string, signal: AbortSignal): Promise<void>;
}

/** The latency within a region, with signing and TLS. */
const latencyMs = 80;

export interface Wire {
  admit: Admission;
  traffic: Traffic;
  chance: Chance;
  uptime(): number;
}

export interface RetryPolicy {
  maxAttempts: number;
  /** The pause before the n-th repetition, counted from 1. */
  pauseMs(repetition: number, random: number): number;
  /** The SDK's retry quota; a throttled call costs 5 of it. */
  quota: number;
}

/** The policy of ecs-node: host/aws/session/session.ts repeats no throttled call. */
export const own: RetryPolicy = { maxAttempts: 1, pauseMs: () => 0, quota: Infinity };

/**
 * The policy of the ECS agent: its SDK for Go repeats a throttled call twice, with a quota of
 * tokens.
 */
export const ecsAgent: RetryPolicy = {
  maxAttempts: 3,
  pauseMs: (repetition, random) => random * 1000 * 2 ** (repetition - 1),
  quota: 500,
};

/**
 * botocore's legacy mode, the default of the AWS CLI 1 and of 2.9: five attempts, with pauses of up
 * to 1, 2, 4 and 8 seconds.
 */
export const cli: RetryPolicy = {
  maxAttempts: 5,
  pauseMs: (repetition, random) => random * 1000 * 2 ** (repetition - 1),
  quota: Infinity,
};

/**
 * The policy of the OpsWorks agent's installer: its SDK for Ruby repeats a throttled call three
 * times.
 */
export const ruby: RetryPolicy = {
  maxAttempts: 4,
  pauseMs: (repetition) => 300 * 2 ** (repetition - 1),
  quota: Infinity,
};

const costOfRepetition = 5;

export function openClient(
  wire: Wire,
  policy: RetryPolicy,
  sleep: (ms: number, signal: AbortSignal) => Promise<void>,
): Client {
  const { admit, traffic, chance } = wire;
  let quota = policy.quota;
  return {
    async call(action, signal) {
      for (let attempt = 1; ; attempt++) {
        await sleep(chance.around(latencyMs), signal);
        count(traffic.sent, action);
        if (admit(action, wire.uptime())) {
          quota = Math.min(policy.quota, quota + (attempt > 1 ? costOfRepetition : 1));
          return;
        }
        count(traffic.throttled, action);
        if (attempt === policy.maxAttempts || quota < costOfRepetition) throw new Unavailable(`${action}: throttled`);
        quota -= costOfRepetition;
        await sleep(policy.pauseMs(attempt, chance.next()), signal);
      }
    },
  };
}
