/** Watches for an operator's request to leave or to stay. */

import type { OperatorRequest } from '../../core/state/state.ts';
import { readRequest, removeRequest } from '../request.ts';
import type { Finding, Watcher } from '../watching/watcher.ts';

/** A waiting person does not notice 2 s. Only our own commands write this file. */
const everyMs = 2_000;

export function judgeRequest(request: OperatorRequest | undefined): Finding {
  if (request === undefined) return { kind: 'well' };
  const { action, id, reason, terminate } = request;
  if (action === 'stay') return { kind: 'revoked', key: id, reason };
  // Removing the file has the same effect as `ecs-node stay`.
  return { kind: 'doomed', key: id, reason, ending: terminate ? 'terminate' : 'remain', revocableAfterMs: 0 };
}

export const operator: Watcher = {
  name: 'operator',
  everyMs,
  deadlineMs: 2_000,
  evenIfHeld: true,
  check: async (host) => judgeRequest(await readRequest(host)),
  async recover(host) {
    if ((await readRequest(host))?.action === 'stay') await removeRequest(host);
  },
};
