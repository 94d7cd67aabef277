/**
 * Looks at ECS for some minutes within one run before a node is drained, made ACTIVE, terminated or
 * deregistered. The samples of two runs say nothing about the time between them: an ECS agent may
 * connect anew at each.
 */

import { Refused, Unavailable, messageOf } from '../../core/errors.ts';
import type { FleetNodes } from '../../core/fleet/fleet-nodes.ts';
import type { Clock } from '../../core/retry.ts';
import { isStillSo } from './deeds.ts';
import type { Deed, SweepFinding, SweepReport } from './findings.ts';

/** The number of looks, spread evenly over the time. Each lists the whole cluster. */
const looks = 6;

export interface Lasting {
  /**
   * Takes the deed from each finding that would drain, terminate or deregister a node and did not
   * last. The time of a node that would be drained begins anew.
   */
  keep(found: readonly SweepFinding[]): SweepFinding[];
  unanswered: SweepReport['unanswered'];
}

/** Watches for `recheckMs` what must last. Without an answer, none lasts. */
export async function watchLasting(
  { fleet, clock }: { fleet: Pick<FleetNodes, 'readContainerInstances'>; clock: Clock },
  { cluster, recheckMs }: { cluster: string; recheckMs: number },
  found: readonly SweepFinding[],
  signal: AbortSignal,
): Promise<Lasting> {
  let lasting = found.filter(mustLast);
  for (let look = 0; look < looks && lasting.length > 0; look++) {
    await clock.sleep(recheckMs / looks, signal);
    try {
      const all = await fleet.readContainerInstances(cluster, signal);
      const recordsOf = (id: string) => all.filter(({ instanceId }) => instanceId === id);
      lasting = lasting.filter((finding) => isStillSo(finding, recordsOf(finding.instanceId)));
    } catch (error) {
      signal.throwIfAborted();
      // Anything else is a bug in ecs-node.
      if (!(error instanceof Unavailable || error instanceof Refused)) throw error;
      const unanswered = [{ what: 'whether it lasts', why: messageOf(error) }];
      return {
        keep: openKeep([], () => ({ why: 'ECS did not answer whether it lasts: a later run looks again' })),
        unanswered,
      };
    }
  }
  const why = `not seen so at each look of the last ${Math.round(recheckMs / 1000)} s: a later run looks again`;
  const restart = ({ deed }: SweepFinding) => ({
    why,
    ...(deed?.kind === 'drain' && { deed: { kind: 'note', group: deed.group, note: 'disconnected' } as const }),
  });
  return { keep: openKeep(lasting, restart), unanswered: [] };
}

/** A drain or a termination. */
export function endsNode({ deed }: SweepFinding): boolean {
  return deed?.kind === 'drain' || deed?.kind === 'terminate';
}

/**
 * A drain, a termination, or a deregistration, which ends the tasks of a node that lives. ACTIVE as
 * well: a node that its own program or a person drained would get tasks for ever. The protection of
 * an instance that leaves: the survey after the looks must say so too, or a person's is lost.
 */
export function mustLast(finding: SweepFinding): boolean {
  const { deed } = finding;
  if (deed?.kind === 'clear-protection') return deed.isLeaving;
  return endsNode(finding) || others.has(deed?.kind);
}

const others = new Set<Deed['kind'] | undefined>(['activate', 'deregister-container-instance', 'deregister-stale']);

function openKeep(
  lasting: readonly SweepFinding[],
  judgeOther: (finding: SweepFinding) => Pick<SweepFinding, 'why' | 'deed'>,
): Lasting['keep'] {
  const keyOf = ({ kind, instanceId, subject, deed }: SweepFinding) => `${kind} ${instanceId} ${subject} ${deed?.kind}`;
  const keys = new Set(lasting.map(keyOf));
  return (found) =>
    found.map((finding) => {
      if (!mustLast(finding) || keys.has(keyOf(finding))) return finding;
      const { deed: _, ...told } = finding;
      return { ...told, ...judgeOther(finding) };
    });
}
