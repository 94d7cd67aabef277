import { expect, test, vi, onTestFinished } from 'vitest';
import { openClock } from '../../../host/clock.ts';

test('a sleeper wakes with the reason of whoever woke it, and leaves no listener behind', async () => {
  const controller = new AbortController();
  const remove = vi.spyOn(controller.signal, 'removeEventListener');
  const sleeping = openClock().sleep(60_000, controller.signal);
  const reason = new Error('the node stops');
  controller.abort(reason);
  await expect(sleeping).rejects.toBe(reason);
  await expect(openClock().sleep(60_000, controller.signal)).rejects.toBe(reason);
  expect(remove).toHaveBeenCalledTimes(1);
  const quiet = new AbortController();
  const removed = vi.spyOn(quiet.signal, 'removeEventListener');
  await openClock().sleep(1, quiet.signal);
  expect(removed).toHaveBeenCalledTimes(1);
});

test('a month is not slept through in a millisecond, as setTimeout would', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const month = 30 * 24 * 3_600_000;
  let awake = false;
  void openClock()
    .sleep(month, new AbortController().signal)
    .then(() => (awake = true));
  await vi.advanceTimersByTimeAsync(month - 1);
  expect(awake).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(awake).toBe(true);
});

test('durations do not follow the wall clock when it jumps back', () => {
  const clock = openClock();
  const before = clock.uptime();
  vi.spyOn(Date, 'now').mockReturnValue(0);
  onTestFinished(() => void vi.restoreAllMocks());
  expect(clock.now()).toBe(0);
  expect(clock.uptime()).toBeGreaterThanOrEqual(before);
  expect(before).toBeGreaterThan(0);
});
