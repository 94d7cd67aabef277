import { paths } from '../../../core/state/state.ts';
import { reasons } from '../faults/causes.ts';
import type { Invariant } from './invariant.ts';

/**
 * A bootstrap waits so long for OpsWorks at most; when it was in trouble in that time, a record may
 * stay.
 */
const patienceMs = 15 * 60_000;

export const noRecordStays: Invariant = {
  name: 'no record stays',
  sentence: 'A node that ended itself leaves no OpsWorks record behind, unless OpsWorks could not be told.',
  afterCall(region, node, { verb, args }) {
    const { truth } = node;
    const isNote = verb === 'writeText' && args[0] === paths.departure;
    if (isNote && String(args[1]).includes('"phase": "registrar"'))
      truth.registrarAt = Math.min(truth.registrarAt, region.clock.uptime());
    return undefined;
  },
  atDeath(region, node) {
    if (node.truth.ended === undefined) return undefined;
    const { records } = region.scenario.opsworks;
    const left = records.find(({ ec2InstanceId, status }) => ec2InstanceId === node.id && status !== 'deregistering');
    if (left === undefined) return undefined;
    // Unassigning takes longer than others may leave.
    const hurried = reasons(node, region.clock.uptime(), 3_600_000).some(
      (why) => why === 'spot' || why === 'maintenance',
    );
    if (hurried) return undefined;
    const { opsworksTroubleAt, registrarAt } = node.truth;
    // However long it takes afterwards to end: what could not be told then is not told again.
    const inTrouble = opsworksTroubleAt >= registrarAt || region.clock.uptime() - opsworksTroubleAt < patienceMs;
    return inTrouble ? undefined : `record ${left.id} (${left.status}) stays behind`;
  },
};
