/** Removes a node's record from OpsWorks, so that none stays behind as connection_lost. */

import { Refused } from '../../../core/errors.ts';
import type { Host, Registration } from '../../../core/host.ts';
import { openLasting } from '../../../core/lasting.ts';
import { poll } from '../../../core/poll.ts';
import { retry } from '../../../core/retry.ts';
import type { Registered } from '../../../core/state/state.ts';
import { openSureReader, pollMs } from './record-reader.ts';
import { openUnlessMoved, refusalLastsMs } from './unless-moved.ts';

/**
 * Unassigning runs the layer's shutdown recipes, once the OpsWorks agent has fetched them; they
 * have two minutes by default. A departing node waits no longer than this.
 */
const unassignMs = 300_000;

/**
 * For one call, or for a record that is gone to stay so. If it takes longer, OpsWorks is broken.
 */
const callsMs = 60_000;

export async function deregisterFromOpsWorks(host: Host, registered: Registered, signal: AbortSignal): Promise<void> {
  const record = await find(host, registered, signal);
  if (record === undefined || record.status === 'deregistering') return;
  if (record.layerIds.length > 0) await unassign(host, record, signal);
  await callWithRetry(host, signal, () => ignoreGone(host.cloud.deregister(record.id, signal)));
  host.log.info('deregistered from OpsWorks', { id: record.id });
}

async function find(host: Host, { id, stackId }: Registered, signal: AbortSignal): Promise<Registration | undefined> {
  const { cloud, clock } = host;
  if (id !== undefined) {
    const read = openSureReader(clock, pollMs, (callSignal) => cloud.readRegistration(id, callSignal));
    return callWithRetry(host, signal, read);
  }
  if (stackId === undefined) return undefined;
  // An installer was started and this program did not see its end. Only a listing shows its record.
  const list = openSureReader(clock, refusalLastsMs, (callSignal) => cloud.findRegistration(stackId, callSignal));
  return callWithRetry(host, signal, list);
}

async function unassign(host: Host, record: Registration, signal: AbortSignal): Promise<void> {
  const unlessMoved = openUnlessMoved(host, refusalLastsMs);
  // OpsWorks refuses the second of two equal calls, because the unassignment has begun.
  const ask = (now: Registration, callSignal: AbortSignal) =>
    unlessMoved('unassign', now, () => ignoreGone(host.cloud.unassign(now.id, callSignal)));
  try {
    if (record.status !== 'unassigning') await callWithRetry(host, signal, (callSignal) => ask(record, callSignal));
    let askedAt = host.clock.uptime();
    const isGone = openLasting(host.clock, refusalLastsMs);
    const unassigned = async (callSignal: AbortSignal) => {
      const now = await host.cloud.readRegistration(record.id, callSignal);
      if (isGone(now === undefined)) return true;
      if (now === undefined) return undefined;
      if (now.layerIds.length === 0) return true;
      // OpsWorks may have carried out an assignment late, after the node had given up that call.
      if (now.status !== 'unassigning' && host.clock.uptime() - askedAt > refusalLastsMs) {
        askedAt = host.clock.uptime();
        await ask(now, callSignal);
      }
      return undefined;
    };
    const waiting = { clock: host.clock, signal, withinMs: unassignMs, everyMs: pollMs };
    await poll(`unassigning ${record.id}`, unassigned, waiting);
  } catch (error) {
    signal.throwIfAborted();
    // A dead OpsWorks agent never confirms. Deregistering is the part that counts.
    host.log.warn('not unassigned', { id: record.id, error: String(error) });
  }
}

function callWithRetry<T>(host: Host, signal: AbortSignal, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return retry(call, { clock: host.clock, signal, withinMs: callsMs });
}

/** A record that does not exist is the wanted result. */
async function ignoreGone(call: Promise<void>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== 'ResourceNotFoundException') throw error;
  }
}
