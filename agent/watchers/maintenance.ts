/** Watches for maintenance events that EC2 scheduled for this instance. */

import type { Config } from '../../config/config.ts';
import { Unavailable } from '../../core/errors.ts';
import type { MaintenanceEvent } from '../../core/host.ts';
import { readServedTime } from '../../core/served-time.ts';
import { atOnce, confirmEvent } from '../maintenance-event.ts';
import type { Finding, Watcher, Wish } from '../watching/watcher.ts';

/**
 * The node leaves shortly before the date: these events are announced weeks ahead and take minutes.
 * Leaving earlier would empty a healthy node.
 */
const inTime = ['instance-reboot', 'system-reboot', 'system-maintenance'];

/** The true time since 1970 and the uptime, in milliseconds. */
export interface Times {
  now: number;
  uptime: number;
}

/** False for an event that will never make this node leave, whatever the time. */
function isClear({ code, state, notBefore }: MaintenanceEvent): boolean {
  return state === 'active' && (atOnce.includes(code) || (inTime.includes(code) && notBefore !== undefined));
}

/** Judges one event: nothing to do, worth a message, or a reason to leave. */
function judgeEvent(event: MaintenanceEvent, { maintenance }: Pick<Config, 'maintenance'>, times: Times): Finding {
  const { id, code, state, notBefore, notAfter, description } = event;
  const { now, uptime } = times;
  // An event whose time is over no longer happens, even if it is still listed.
  if (state === 'completed' || state === 'canceled' || (notAfter !== undefined && notAfter < now))
    return { kind: 'well' };
  const key = `maintenance:${id}`;
  const when = notBefore === undefined ? '' : ` not before ${new Date(notBefore).toISOString()}`;
  const reason = `${code}${state === 'unknown' ? ' in an unknown state' : ''}${when}${description === '' ? '' : `: ${description}`}`;
  const due =
    atOnce.includes(code) ||
    (inTime.includes(code) && notBefore !== undefined && now >= notBefore - maintenance.leadSeconds * 1000);
  if (maintenance.action === 'log' || !due || state === 'unknown')
    return { kind: 'notable', key: `${key}:seen`, reason, ...(!isClear(event) && { needsPerson: true }) };
  // The date of a retirement may have passed. It then sets no deadline.
  const deadline =
    notBefore !== undefined && notBefore > now
      ? { deadline: notBefore, deadlineUptime: uptime + (notBefore - now) }
      : {};
  return { kind: 'doomed', key, reason, ending: 'terminate', revocableAfterMs: 0, separate: true, ...deadline };
}

function wishOf({ kind: _kind, ...wish }: Finding & { kind: 'doomed' }) {
  return wish;
}

export function judgeMaintenance(
  events: readonly MaintenanceEvent[],
  config: Pick<Config, 'maintenance'>,
  times: Times,
): Finding {
  const findings = events
    .toSorted((a, b) => (a.notBefore ?? 0) - (b.notBefore ?? 0) || (a.id < b.id ? -1 : 1))
    .map((event) => judgeEvent(event, config, times));
  const [doomed, ...others] = findings.filter((finding) => finding.kind === 'doomed');
  if (doomed !== undefined) return { ...doomed, ...(others.length > 0 && { others: others.map(wishOf) }) };
  const notable = findings.filter((finding) => finding.kind === 'notable');
  if (notable.length === 0) return { kind: 'well' };
  const all = (part: 'key' | 'reason', separator: string) => notable.map((each) => each[part]).join(separator);
  const needsPerson = notable.some((each) => each.needsPerson);
  return { kind: 'notable', key: all('key', ' '), reason: all('reason', '; '), ...(needsPerson && { needsPerson }) };
}

/**
 * A difference above this is logged. Only the metadata service's clock decides whether an event is
 * due.
 */
const skewMs = 60_000;

export function watchMaintenance(config: Config): Watcher {
  return {
    name: 'maintenance',
    everyMs: config.maintenance.pollSeconds * 1000,
    deadlineMs: 5_000,
    async check(host, signal) {
      const { metadata, clock, log } = host;
      const events = await metadata.readMaintenance(signal);
      if (events.length === 0) return { kind: 'well' };
      // A wall clock that jumped by two weeks must not make an event due that is two weeks away.
      const served = await readServedTime(host, signal);
      if (served === undefined) throw new Unavailable('the metadata service does not tell the time');
      if (Math.abs(served - clock.now()) > skewMs)
        log.debug('this clock differs from that of the metadata service', { ms: Math.round(clock.now() - served) });
      return judgeMaintenance(events, config, { now: served, uptime: clock.uptime() });
    },
    async mayLeave(host, signal, wish) {
      const { agrees, startsInMs = 0 } = await confirmEvent(host, config, wish.key, signal);
      return agrees ? withLaterDate(wish, host.clock.uptime() + startsInMs) : 'wait';
    },
  };
}

/**
 * The wish with a deadline of this uptime, where its own is earlier. One wrong date, or one wrong
 * clock, would stop the tasks too early.
 */
function withLaterDate(wish: Wish, uptime: number): Wish {
  const { deadline, deadlineUptime } = wish;
  if (deadline === undefined || deadlineUptime === undefined || deadlineUptime >= uptime) return wish;
  return { ...wish, deadline: Math.round(deadline + uptime - deadlineUptime), deadlineUptime: uptime };
}
