import { paths } from '../../../core/state/state.ts';
import type { Call } from '../effects.ts';
import { reasons } from '../faults/causes.ts';
import type { Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';
import type { Invariant } from './invariant.ts';

/**
 * A bootstrap waits at most this long for OpsWorks. If OpsWorks failed within that time, a record
 * may stay.
 */
const patienceMs = 15 * 60_000;

/** Also called where the disk refuses the note: the node leaves its registrar all the same. */
export function noteRegistrar({ clock }: Region, { truth }: Node, { verb, args }: Call): void {
  const isNote = verb === 'writeText' && args[0] === paths.departure;
  if (isNote && String(args[1]).includes('"phase": "registrar"'))
    truth.registrarAt = Math.min(truth.registrarAt, clock.uptime());
}

export const noRecordStays: Invariant = {
  name: 'no record stays',
  sentence: 'A node that terminated itself leaves no OpsWorks record behind, unless OpsWorks did not answer.',
  afterCall(region, node, call) {
    noteRegistrar(region, node, call);
    return undefined;
  },
  atDeath(region, node) {
    // A disk that refused to store the departure lets the node register again after a reboot.
    if (node.truth.ended === undefined || node.truth.forgetfulSince !== undefined) return undefined;
    const { records } = region.scenario.opsworks;
    const left = records.find(({ ec2InstanceId, status }) => ec2InstanceId === node.id && status !== 'deregistering');
    if (left === undefined) return undefined;
    // Unassigning takes longer than these reasons allow. A false spot notice allows no more.
    const hurried = reasons(node, region.clock.uptime(), 3_600_000).some(
      (why) => why === 'spot' || why === 'maintenance' || why === 'lie',
    );
    if (hurried) return undefined;
    const { opsworksTroubleAt, registrarAt } = node.truth;
    // The node does not retry later, so the rest of its departure, however long, does not matter.
    const inTrouble = opsworksTroubleAt >= registrarAt || region.clock.uptime() - opsworksTroubleAt < patienceMs;
    return inTrouble ? undefined : `record ${left.id} (${left.status}) stays behind`;
  },
};
