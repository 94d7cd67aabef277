/** Reads this node's record in OpsWorks. One odd answer never condemns the node. */

import { Unfit } from '../../../core/errors.ts';
import type { Host, Registration } from '../../../core/host.ts';
import { openLasting } from '../../../core/lasting.ts';
import type { Clock } from '../../../core/retry.ts';
import type { BootstrapContext } from '../../step.ts';
import { refusalLastsMs } from './unless-moved.ts';

/**
 * Slow enough for a fleet that boots together, and fast against the minutes that OpsWorks takes.
 */
export const pollMs = 5_000;

export function rememberRecord({ clock }: Host, context: BootstrapContext, record: Registration): void {
  context.lastRecord = { at: clock.uptime(), record };
}

/**
 * A record read less than one poll ago serves as the first answer: OpsWorks answers about once a
 * second, for all nodes together.
 */
function takeRecentRecord({ clock }: Host, context: BootstrapContext, id: string): Registration | undefined {
  const { lastRecord } = context;
  delete context.lastRecord;
  return lastRecord?.record.id === id && clock.uptime() - lastRecord.at < pollMs ? lastRecord.record : undefined;
}

/**
 * Returns `undefined` only when every answer for `refusalLastsMs` was `undefined`. After a single
 * wrong one, the node would register twice, or leave its record behind.
 */
export function openSureReader<T>(
  clock: Clock,
  everyMs: number,
  read: (signal: AbortSignal) => Promise<T | undefined>,
): (signal: AbortSignal) => Promise<T | undefined> {
  const lasts = openLasting(clock, refusalLastsMs);
  return async (signal) => {
    for (;;) {
      const record = await read(signal);
      if (lasts(record === undefined) || record !== undefined) return record;
      await clock.sleep(everyMs, signal);
    }
  };
}

/** A new record may not be visible everywhere yet. Throws only when it stays away for `lastsMs`. */
export function openRecordReader(
  host: Host,
  context: BootstrapContext,
  id: string,
  lastsMs: number,
): (signal: AbortSignal) => Promise<Registration | undefined> {
  const { cloud, clock } = host;
  const lasts = openLasting(clock, lastsMs);
  let first = takeRecentRecord(host, context, id);
  return async (signal) => {
    const record = first ?? (await cloud.readRegistration(id, signal));
    first = undefined;
    if (record !== undefined) rememberRecord(host, context, record);
    if (lasts(record === undefined))
      throw new Unfit('opsworks-record', `OpsWorks record ${id} is gone: this node was deregistered`);
    return record;
  };
}

/** Final states: such a record makes no further progress. */
const failed = new Set(['setup_failed', 'start_failed', 'stop_failed', 'stopped', 'terminated']);

/**
 * Throws once the record has been in a final state for `lastsMs`, without another answer between. A
 * single wrong answer would deregister and end a node that is still registering.
 */
export function openFailureCheck({ clock }: Host, id: string, lastsMs: number): (record: Registration) => void {
  const lasts = openLasting(clock, lastsMs);
  return ({ status }) => {
    if (!lasts(failed.has(status))) return;
    const hint = status === 'setup_failed' ? ': see its setup log in OpsWorks for the recipe that failed' : '';
    throw new Unfit('opsworks-record', `OpsWorks record ${id} is ${status}${hint}`);
  };
}
