import { afterEach, beforeEach, vi } from 'vitest';

/**
 * Stops the timers of a test file, and with them the time limits of the product: a machine that
 * stands still for some seconds then ends no request. A test moves them with
 * `vi.advanceTimersByTime`.
 */
export function stopTimers(): void {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());
}
