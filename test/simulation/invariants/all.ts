/** All invariants of a simulation. */

import { actsOnItsOwn } from './acts-on-its-own.ts';
import { leaveQueueHolds } from './leave-queue-holds.ts';
import { choresAreDone } from './upkeep/chores-are-done.ts';
import { endsInTime } from './ends-in-time.ts';
import { filesAreWhole } from './files-are-whole.ts';
import { healthyStays } from './healthy-stays.ts';
import { hooksInOrder } from './hooks-in-order.ts';
import { imagesStay } from './images-stay.ts';
import { interruptionsDrain } from './interruptions-drain.ts';
import type { Invariant } from './invariant.ts';
import { lastGoodCounts } from './upkeep/last-good-counts.ts';
import { leavesBalancers } from './leaves-balancers.ts';
import { namesOnlyItself } from './names-only-itself.ts';
import { noRecordStays } from './no-record-stays.ts';
import { refusedIsDone } from './upkeep/refused-is-done.ts';
import { registersAnewOnce } from './registers-anew-once.ts';
import { staysSmall } from './stays-small.ts';
import { ordersAreFollowed } from './orders-are-followed.ts';
import { stormGuardHolds } from './storm-guard-holds.ts';
import { twoSources } from './two-sources.ts';
import { undoneInTime } from './undone-in-time.ts';
import { unprotected } from './unprotected.ts';

export const invariants: readonly Invariant[] = [
  healthyStays,
  twoSources,
  actsOnItsOwn,
  undoneInTime,
  stormGuardHolds,
  noRecordStays,
  endsInTime,
  hooksInOrder,
  leavesBalancers,
  leaveQueueHolds,
  imagesStay,
  unprotected,
  interruptionsDrain,
  ordersAreFollowed,
  filesAreWhole,
  namesOnlyItself,
  registersAnewOnce,
  refusedIsDone,
  choresAreDone,
  lastGoodCounts,
  staysSmall,
];
