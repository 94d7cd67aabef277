/** What goes wrong on the way: throttling, errors, slowness, lost answers; by rule or by rate. */

import type { Random } from './random.ts';

export interface FaultRule {
  /**
   * `ec2`, `ecs`, `autoscaling`, `opsworks`, `ssm`, `elb`, `elbv2`, `cloudwatch`, `sts`,
   * `application-autoscaling`, `imds`, `introspection`. Absent: every AWS service.
   */
  service?: string;
  operation?: string;
  instanceId?: string;
  /** Only from the nth matching call on (1 is the first). */
  nth?: number;
  /** At most so many times. */
  times?: number;
  probability?: number;
  effect: FaultEffect;
}

export type FaultEffect =
  | { kind: 'throttle' }
  | { kind: 'error'; code: string; status?: number; message?: string }
  | { kind: 'latency'; ms: number }
  /** Never answered. */
  | { kind: 'hang' }
  /** Takes effect, but the answer is lost. */
  | { kind: 'cut' }
  /** The connection ends before anything happens. */
  | { kind: 'refuse' }
  | { kind: 'html'; status?: number }
  /**
   * This body instead of the answer, with nothing having happened: half an answer, another shape, a
   * middlebox's word.
   */
  | { kind: 'answer'; body: string; status?: number; type?: string };

export interface RateLimit {
  service: string;
  /** Absent: all operations of the service share it. */
  operation?: string;
  burst: number;
  perSecond: number;
}

export interface Faults {
  /** Returns what removes the rule. */
  add(rule: FaultRule): () => void;
  limit(limit: RateLimit): void;
  clear(): void;
}

interface Subject {
  service: string;
  operation: string;
  instanceId: string | undefined;
}

interface Bucket extends RateLimit {
  tokens: number;
  filledAt: number;
}

/** Metadata and introspection are on the node: a rule that names no service means AWS. */
const local = new Set(['imds', 'introspection']);

export function openFaults(random: Random, now: () => number) {
  const rules = new Map<FaultRule, { seen: number; used: number }>();
  const buckets: Bucket[] = [];
  const matches = (rule: FaultRule, subject: Subject) =>
    (rule.service === undefined ? !local.has(subject.service) : rule.service === subject.service) &&
    (rule.operation === undefined || rule.operation === subject.operation) &&
    (rule.instanceId === undefined || rule.instanceId === subject.instanceId);
  const take = (bucket: Bucket): boolean => {
    const at = now();
    bucket.tokens = Math.min(bucket.burst, bucket.tokens + ((at - bucket.filledAt) / 1000) * bucket.perSecond);
    bucket.filledAt = at;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  };
  return {
    add(rule: FaultRule) {
      rules.set(rule, { seen: 0, used: 0 });
      return () => void rules.delete(rule);
    },
    limit(limit: RateLimit) {
      buckets.push({ ...limit, tokens: limit.burst, filledAt: now() });
    },
    clear() {
      rules.clear();
      buckets.length = 0;
    },
    /** All that happens to this call: latencies add up, the first other effect ends the search. */
    choose(subject: Subject): { latencyMs: number; effect?: FaultEffect } {
      let latencyMs = 0;
      for (const [rule, count] of rules) {
        if (!matches(rule, subject)) continue;
        count.seen++;
        if (count.seen < (rule.nth ?? 1) || count.used >= (rule.times ?? Infinity)) continue;
        if (rule.probability !== undefined && random.next() >= rule.probability) continue;
        count.used++;
        if (rule.effect.kind !== 'latency') return { latencyMs, effect: rule.effect };
        latencyMs += rule.effect.ms;
      }
      const limited = buckets.filter(
        ({ service, operation }) =>
          service === subject.service && (operation === undefined || operation === subject.operation),
      );
      return limited.every(take) ? { latencyMs } : { latencyMs, effect: { kind: 'throttle' } };
    },
  } satisfies Faults & Record<string, unknown>;
}
