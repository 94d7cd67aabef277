/** Asks EC2's API about a maintenance event that the metadata service lists. */

import type { Config } from '../config/config.ts';
import type { Host, ScheduledEvent } from '../core/host.ts';
import { callOnce } from './calls.ts';

/** The node leaves at once: the hardware is failing, and waiting for the date only adds risk. */
export const atOnce: readonly string[] = ['instance-retirement', 'instance-stop'];

/** EC2's clock and the metadata service's may differ by less than this. */
const clocksMs = 600_000;

/**
 * The metadata service may omit the id. The code and the date then identify the event
 * (host/metadata/imds-answers.ts).
 */
export function isSameEvent({ id, code }: ScheduledEvent, key = ''): boolean {
  return key === `maintenance:${id}` || key === `maintenance:${code}` || key.startsWith(`maintenance:${code} `);
}

/**
 * Whether EC2 lists the event, and lists it as due. A wrong clock alone must not end the node.
 * `startsInMs`: the time until EC2's date, where EC2 gives one.
 */
export async function confirmEvent(
  host: Host,
  { maintenance }: Pick<Config, 'maintenance'>,
  key: string | undefined,
  signal: AbortSignal,
): Promise<{ agrees: boolean; words: string; startsInMs?: number }> {
  const events = await callOnce(host, signal, (callSignal) => host.cloud.readScheduledEvents(callSignal));
  const found = events.find((event) => isSameEvent(event, key));
  if (found === undefined) return { agrees: false, words: 'EC2 does not list this event' };
  const { code, startsInMs } = found;
  const isEarly = !atOnce.includes(code) && (startsInMs ?? 0) > maintenance.leadSeconds * 1000 + clocksMs;
  if (!isEarly) return { agrees: true, words: `EC2: ${code}`, ...(startsInMs !== undefined && { startsInMs }) };
  return { agrees: false, words: `EC2: ${code} begins only in ${Math.round((startsInMs ?? 0) / 3_600_000)} h` };
}
