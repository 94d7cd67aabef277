import { expect, test, vi, onTestFinished } from 'vitest';
import { openClock } from '../../../host/clock.ts';

test('an aborted sleep rejects with the reason of its signal, and leaves no listener behind', async () => {
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

test('a sleep of a month does not end in a millisecond, as setTimeout would', async () => {
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

test('durations ignore a wall clock that jumps back', () => {
  const clock = openClock();
  const before = clock.uptime();
  vi.spyOn(Date, 'now').mockReturnValue(0);
  onTestFinished(() => void vi.restoreAllMocks());
  expect(clock.now()).toBe(0);
  expect(clock.uptime()).toBeGreaterThanOrEqual(before);
  expect(before).toBeGreaterThan(0);
});

test('a sleep with slack ends together with another one, not before its slack and not late', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime'] });
  onTestFinished(() => void vi.useRealTimers());
  const signal = new AbortController().signal;
  const clock = openClock();
  const awake: string[] = [];
  const sleep = (name: string, ms: number, slackMs?: number) =>
    void clock.sleep(ms, signal, slackMs).then(() => awake.push(`${name} at ${clock.uptime() - start}`));
  const start = clock.uptime();
  sleep('exact', 1_000);
  sleep('ready', 1_500, 600);
  sleep('not yet', 2_000, 900);
  sleep('alone', 5_000, 100);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(awake).toEqual(['exact at 1000', 'ready at 1000', 'not yet at 2000', 'alone at 5000']);
});

test('an ended or aborted sleep does not wake again', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime'] });
  onTestFinished(() => void vi.useRealTimers());
  const controller = new AbortController();
  const clock = openClock();
  const gone = clock.sleep(2_000, controller.signal, 1_900).catch((error: unknown) => error);
  const stays = clock.sleep(2_000, new AbortController().signal, 1_900);
  const reason = new Error('the node stops');
  controller.abort(reason);
  expect(await gone).toBe(reason);
  void clock.sleep(500, new AbortController().signal);
  await vi.advanceTimersByTimeAsync(500);
  await stays;
  expect(vi.getTimerCount()).toBe(0);
});

test('a cancelled timer does nothing, and a timer of a month waits in full', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const month = 30 * 24 * 3_600_000;
  const done: string[] = [];
  openClock().schedule(month, () => void done.push('month'));
  const forget = openClock().schedule(month, () => void done.push('forgotten'));
  await vi.advanceTimersByTimeAsync(month - 1);
  forget();
  expect(done).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(done).toEqual(['month']);
  expect(vi.getTimerCount()).toBe(0);
});
