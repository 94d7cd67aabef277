import type { Invariant } from './invariant.ts';
import { isDeadly } from './healthy-stays.ts';

/**
 * Under the worst faults, reading the history, leaving OpsWorks and requesting termination take
 * this long.
 */
const freshMs = 45 * 60_000;

export const stormGuardHolds: Invariant = {
  name: 'the storm guard holds',
  sentence:
    "A node with a failed bootstrap terminates only after reading fewer early failures than allowed in its group's history.",
  onCall(region, node, call) {
    if (!isDeadly(call) || call.process.name !== 'bootstrap') return undefined;
    const { config } = region.scenario;
    if (config.bootstrap.onFailure === 'keep') return `${call.verb} though bootstrap.onFailure is keep`;
    if (node.group === undefined) return undefined;
    const seen = node.truth.activitiesSeen;
    if (seen === undefined || region.clock.uptime() - seen.at > freshMs)
      return `${call.verb} without the group's history`;
    return seen.young < config.stormGuard.maxFailures ? undefined : `${call.verb} after ${seen.young} young deaths`;
  },
  afterCall(region, node, call, result) {
    if (call.verb !== 'readActivities') return undefined;
    node.truth.activitiesSeen = {
      at: region.clock.uptime(),
      young: countYoung(region, node.id, result),
    };
    return undefined;
  },
};

/** Counts by another method than the product, and by the true time. */
function countYoung(
  { scenario: { config }, clock }: Parameters<NonNullable<Invariant['onCall']>>[0],
  own: string,
  result: unknown,
): number {
  const all = result as { kind: string; instanceId: string; at: number }[];
  const began = new Map(all.filter(({ kind }) => kind === 'launch').map(({ instanceId, at }) => [instanceId, at]));
  const windowBegins = clock.now() - config.stormGuard.windowSeconds * 1000;
  return all.filter(({ kind, instanceId, at }) => {
    const age = at - (began.get(instanceId) ?? -Infinity);
    return (
      kind === 'terminate' &&
      instanceId !== own &&
      at > windowBegins &&
      age <= (config.bootstrap.timeoutSeconds + 600) * 1000
    );
  }).length;
}
