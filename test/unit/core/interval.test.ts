import { describe, expect, test } from 'vitest';
import { everyInterval, exactlyAt, openGrowingPause, type Interval } from '../../../core/interval.ts';
import { openFakeClock } from '../../fakes/clock.ts';

const never = new AbortController().signal;

/** The times at which rounds began, from the start of the loop. */
async function startsOf(
  interval: Interval,
  runMs: number,
  roundMs = 0,
  ownPauseMs?: number,
): Promise<{ starts: number[]; slackMs: number[] }> {
  const clock = openFakeClock();
  const began = clock.uptime();
  const starts: number[] = [];
  const slackMs: number[] = [];
  const noting = {
    ...clock,
    sleep: (ms: number, signal: AbortSignal, slack = 0) => (slackMs.push(slack), clock.sleep(ms, signal)),
  };
  const loop = everyInterval(noting, interval, never, async () => {
    starts.push(clock.uptime() - began);
    if (roundMs > 0) await clock.sleep(roundMs, never);
    return ownPauseMs;
  });
  loop.catch(() => {});
  await clock.run(runMs);
  return { starts, slackMs };
}

describe('everyInterval', () => {
  test('begins a round one interval after the last began, shortened at random by a fifth at most', async () => {
    const longest = await startsOf({ everyMs: 10_000, random: () => 1 }, 25_000, 3_000);
    expect(longest.starts).toEqual([0, 10_000, 20_000]);
    const shortest = await startsOf({ everyMs: 10_000, random: () => 0 }, 17_000);
    expect(shortest.starts).toEqual([0, 8_000, 16_000]);
  });

  test('waits a quarter of the interval after a round that took longer than the interval', async () => {
    const { starts } = await startsOf({ everyMs: 4_000, random: () => 1 }, 20_000, 9_000);
    expect(starts).toEqual([0, 10_000, 20_000]);
  });

  test('begins the first round at once, or at random within the given time', async () => {
    const { starts } = await startsOf({ everyMs: 10_000, firstWithinMs: 6_000, random: () => 0.5 }, 7_000);
    expect(starts).toEqual([3_000]);
  });

  test('follows the pause that a round asks for', async () => {
    const { starts } = await startsOf({ everyMs: 10_000, random: () => 1 }, 5_000, 0, 2_000);
    expect(starts).toEqual([0, 2_000, 4_000]);
  });

  test('passes the window for the next round on as slack, after the least pause', async () => {
    const next = (at: number) => ({ earliestAt: at + 1_000, latestAt: at + 4_000 });
    const { starts, slackMs } = await startsOf({ everyMs: 4_000, next }, 5_000);
    expect(starts).toEqual([0, 4_000]);
    expect(slackMs).toEqual([3_000, 3_000]);
    const late = await startsOf({ everyMs: 4_000, next }, 8_000, 2_500);
    // 2.5 s of work and at least 1 s of pause leave 0.5 s of the window.
    expect(late.slackMs).toEqual([500, 500]);
  });

  test('ends with the reason of its signal, and with the error of a round', async () => {
    const clock = openFakeClock();
    const stop = new AbortController();
    const next = (at: number) => exactlyAt(at + 1_000);
    const loop = everyInterval(clock, { everyMs: 1_000, next }, stop.signal, async () => {});
    const stopped = expect(loop).rejects.toThrow('told to stop');
    await clock.run(2_500);
    stop.abort(new Error('told to stop'));
    await stopped;
    expect(clock.sleeping()).toBe(0);
    const broken = everyInterval(clock, { everyMs: 1_000 }, never, () => Promise.reject(new TypeError('a bug')));
    await expect(broken).rejects.toThrow('a bug');
  });
});

describe('a growing pause', () => {
  const setPause = () => {
    const clock = openFakeClock();
    const pause = openGrowingPause(clock, { firstMs: 10_000, longestMs: 60_000, factor: 4 });
    /** Begins a pause and returns its length, in seconds. */
    const pauseSeconds = async () => {
      pause.begin();
      for (let seconds = 0; ; seconds++) {
        if (pause.isOver()) return seconds;
        await clock.run(1_000);
      }
    };
    return { pause, pauseSeconds };
  };

  test('is over at first, and then lasts longer each time, with jitter of up to a half', async () => {
    const { pause, pauseSeconds } = setPause();
    expect(pause.isOver()).toBe(true);
    for (const longest of [10, 40, 60, 60]) {
      const seconds = await pauseSeconds();
      expect(seconds).toBeGreaterThanOrEqual(longest / 2);
      expect(seconds).toBeLessThanOrEqual(longest);
    }
  });

  test('begins anew, or with a given length, after a reset', async () => {
    const { pause, pauseSeconds } = setPause();
    await pauseSeconds();
    pause.reset();
    expect(await pauseSeconds()).toBeLessThanOrEqual(10);
    pause.reset(50_000);
    expect(await pauseSeconds()).toBeGreaterThanOrEqual(25);
  });
});
