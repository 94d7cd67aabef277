/** Has EC2 scheduled an event for this instance? */

import type { Config } from '../../config/config.ts';
import type { MaintenanceEvent } from '../../core/host.ts';
import type { Finding, Watcher } from '../watching/watcher.ts';

/** The hardware is failing: waiting for the date only adds risk. */
const atOnce = ['instance-retirement', 'instance-stop'];

/** Announced weeks ahead and over in minutes: leaving too early would empty a healthy node. */
const inTime = ['instance-reboot', 'system-reboot', 'system-maintenance'];

/** What one event asks for now: nothing to do any more, to be told, or to leave. */
function judgeEvent(event: MaintenanceEvent, { maintenance }: Pick<Config, 'maintenance'>, now: number): Finding {
  const { id, code, state, notBefore, description } = event;
  if (state !== 'active') return { kind: 'well' };
  const key = `maintenance:${id}`;
  const when = notBefore === undefined ? '' : ` not before ${new Date(notBefore).toISOString()}`;
  const reason = `${code}${when}${description === '' ? '' : `: ${description}`}`;
  const due =
    atOnce.includes(code) ||
    (inTime.includes(code) && notBefore !== undefined && now >= notBefore - maintenance.leadSeconds * 1000);
  if (maintenance.action === 'log' || !due) return { kind: 'notable', key: `${key}:seen`, reason };
  // A retirement's date may have passed, and no longer binds anybody.
  const deadline = notBefore !== undefined && notBefore > now ? { deadline: notBefore } : {};
  return { kind: 'doomed', key, reason, ending: 'terminate', revocableAfterMs: 0, ...deadline };
}

export function judgeMaintenance(
  events: readonly MaintenanceEvent[],
  config: Pick<Config, 'maintenance'>,
  now: number,
): Finding {
  const findings = events
    .toSorted((a, b) => (a.notBefore ?? 0) - (b.notBefore ?? 0) || (a.id < b.id ? -1 : 1))
    .map((event) => judgeEvent(event, config, now));
  return (
    findings.find(({ kind }) => kind === 'doomed') ??
    findings.find(({ kind }) => kind === 'notable') ?? { kind: 'well' }
  );
}

export function watchMaintenance(config: Config): Watcher {
  return {
    name: 'maintenance',
    everyMs: config.maintenance.pollSeconds * 1000,
    deadlineMs: 5_000,
    check: async (host, signal) =>
      judgeMaintenance(await host.metadata.readMaintenance(signal), config, host.clock.now()),
  };
}
