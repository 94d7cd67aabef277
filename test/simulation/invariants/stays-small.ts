import type { Invariant } from './invariant.ts';

/** Watchers, heartbeats, deadlines and retries at once; each call has its own deadline. */
const maxSleepers = 60;

/** In the worst weather, with every retry logged. */
const maxLinesPerMinute = 120;

export const staysSmall: Invariant = {
  name: 'stays small',
  sentence: 'Sleeping timers, log volume and what is kept on disk stay bounded, however long a node lives.',
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
