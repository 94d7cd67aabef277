import type { Invariant } from './invariant.ts';

/**
 * Covers all watchers, heartbeats, deadlines and retries together; each call has its own deadline.
 */
const maxSleepers = 60;

/** Covers the worst faults, with every retry logged. */
const maxLinesPerMinute = 120;

export const staysSmall: Invariant = {
  name: 'stays small',
  sentence: 'Sleeping timers, log volume and files stay bounded, however long a node lives.',
  afterEvent(_region, node) {
    const sleepers = Math.max(node.agent?.sleepers ?? 0, node.bootstrap?.sleepers ?? 0);
    return sleepers > maxSleepers ? `${sleepers} timers sleep` : undefined;
  },
  atEnd(region, node) {
    const minutes = (region.clock.uptime() - node.launchedAt) / 60_000;
    const perMinute = node.logLines / Math.max(10, minutes);
    return perMinute > maxLinesPerMinute ? `${Math.round(perMinute)} lines of log per minute` : undefined;
  },
};
