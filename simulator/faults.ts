/** Injects faults into calls, by rule or by rate: throttling, errors, slowness, lost answers. */

import type { Random } from './random.ts';

export interface FaultRule {
  /**
   * `ec2`, `ecs`, `autoscaling`, `opsworks`, `ssm`, `elb`, `elbv2`, `cloudwatch`, `events`, `logs`,
   * `sts`, `application-autoscaling`, `imds`, `introspection`. Absent: every AWS service.
   */
  service?: string;
  operation?: string;
  instanceId?: string;
  /** Applies only from the nth matching call on; 1 is the first. */
  nth?: number;
  /** Applies at most this many times. */
  times?: number;
  probability?: number;
  effect: FaultEffect;
}

export type FaultEffect =
  | { kind: 'throttle' }
  | { kind: 'error'; code: string; status?: number; message?: string }
  | { kind: 'latency'; ms: number }
  /** The simulator never answers. */
  | { kind: 'hang' }
  /** The call takes effect, but the answer is lost. */
  | { kind: 'cut' }
  /** The connection ends before the call takes effect. */
  | { kind: 'refuse' }
  | { kind: 'html'; status?: number }
  /**
   * The call has no effect, and this body is the answer: for instance a truncated answer, another
   * shape, or a proxy's error page.
   */
  | { kind: 'answer'; body: string; status?: number; type?: string };

export interface RateLimit {
  service: string;
  /** Without it, all operations of the service share the limit. */
  operation?: string;
  burst: number;
  perSecond: number;
}

export interface Faults {
  /** Returns a function that removes the rule. */
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

/** Metadata and introspection run on the node. A rule that names no service means AWS only. */
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
    /**
     * Returns all faults of this call: the latencies add up, and the first other effect ends the
     * search.
     */
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
