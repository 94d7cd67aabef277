import { describe, expect, test } from 'vitest';
import { ConfigError, Refused, Unavailable } from '../../../core/errors.ts';
import { retry, withTimeout, type RetryOptions } from '../../../core/retry.ts';
import { openFakeClock } from '../../fakes/clock.ts';

const never = new AbortController().signal;

function patience(more: Partial<RetryOptions> = {}): RetryOptions & { clock: ReturnType<typeof openFakeClock> } {
  const clock = openFakeClock();
  return { signal: never, withinMs: 60_000, random: () => 1, ...more, clock };
}

describe('retry', () => {
  test('retries failures that may heal, and doubles its pause up to the limit', async () => {
    const p = patience({ pauseMs: 1_000, maxPauseMs: 4_000 });
    const at: number[] = [];
    const work = retry(async () => {
      at.push(p.clock.uptime());
      if (at.length < 6) throw new Unavailable('throttled');
      return 'done';
    }, p);
    expect(await p.clock.finish(work)).toBe('done');
    expect(at.slice(1).map((time, index) => time - at[index]!)).toEqual([1_000, 2_000, 4_000, 4_000, 4_000]);
  });

  // Ten thousand nodes that asked every twenty seconds kept each other from an answer for an
  // hour.
  test('asks more seldom in a long wait, a tenth of it later at most, and once more before its time is up', async () => {
    const p = patience({ withinMs: 1_200_000 });
    const began = p.clock.uptime();
    const at: number[] = [];
    const work = retry(() => {
      at.push(p.clock.uptime() - began);
      return Promise.reject(new Unavailable('throttled'));
    }, p);
    await expect(p.clock.finish(work)).rejects.toThrow('throttled');
    const pauses = at.slice(1).map((time, index) => ({ before: at[index]!, ms: time - at[index]! }));
    for (const { before, ms } of pauses) expect(ms).toBeLessThan(Math.max(20_000, before / 10) + 1);
    expect(Math.max(...pauses.map(({ ms }) => ms))).toBeGreaterThan(60_000);
    expect(Math.max(...pauses.map(({ ms }) => ms))).toBeLessThanOrEqual(90_000);
    expect(1_200_000 - at.at(-1)!).toBeLessThanOrEqual(20_000);
  });

  test.each([new Refused('no', { code: 'AccessDenied' }), new ConfigError([]), new TypeError('our own bug')])(
    'never retries after %s',
    async (error) => {
      const p = patience();
      let asked = 0;
      const work = retry(() => {
        asked++;
        return Promise.reject(error);
      }, p);
      await expect(p.clock.finish(work)).rejects.toBe(error);
      expect(asked).toBe(1);
    },
  );

  // The log of a node without DNS ended with "no answer within 1991 ms", of nobody knew what.
  test('reports the last informative failure, and not that the last try was cut short', async () => {
    const p = patience({ withinMs: 10_000, pauseMs: 1_000 });
    let tries = 0;
    const work = retry(async () => {
      tries += 1;
      if (tries === 1) throw new Unavailable('ecs.us-east-1.amazonaws.com: getaddrinfo EAI_AGAIN');
      return new Promise<never>(() => {});
    }, p);
    await expect(p.clock.finish(work)).rejects.toThrow(/EAI_AGAIN/);
  });

  test('gives up within its time, as Unavailable with the last failure as its cause', async () => {
    const p = patience({ withinMs: 10_000 });
    const begun = p.clock.uptime();
    const last = new Unavailable('still throttled');
    const work = retry(() => Promise.reject(last), p);
    await expect(p.clock.finish(work)).rejects.toMatchObject({ name: 'Unavailable', cause: last });
    expect(p.clock.uptime() - begun).toBeLessThanOrEqual(10_000);
  });

  test('does not hang with an attempt that never answers', async () => {
    const p = patience({ withinMs: 5_000 });
    const began = p.clock.uptime();
    const work = retry(() => new Promise<never>(() => {}), p);
    await expect(p.clock.finish(work)).rejects.toBeInstanceOf(Unavailable);
    expect(p.clock.uptime() - began).toBe(5_000);
  });

  test('retries the failures that the caller names, without end where the time is infinite', async () => {
    const p = patience({ withinMs: Infinity, retryIf: (error) => error instanceof TypeError });
    let tries = 0;
    const work = retry(async () => {
      tries += 1;
      if (tries <= 100) throw new TypeError('our own bug');
      throw new Unavailable('down');
    }, p);
    await expect(p.clock.finish(work)).rejects.toThrow('down');
    expect(tries).toBe(101);
    expect(p.clock.sleeping()).toBe(0);
  });

  test('waits for onRetry before its pause', async () => {
    const { clock, ...p } = patience({ pauseMs: 1_000, withinMs: Infinity });
    const onRetry = () => clock.sleep(3_600_000, never);
    const began = clock.uptime();
    const answers = [new Unavailable('busy'), 'done'];
    const work = retry(
      async () => {
        const answer = answers.shift();
        if (answer instanceof Error) throw answer;
        return answer;
      },
      { ...p, clock, onRetry },
    );
    expect(await clock.finish(work)).toBe('done');
    expect(clock.uptime() - began).toBe(3_601_000);
  });

  test('gives up after its last attempt, with the failure of that attempt, and without a further pause', async () => {
    const p = patience({ pauseMs: 500 });
    const began = p.clock.uptime();
    let asked = 0;
    const work = retry(() => Promise.reject(new Unavailable(`failure ${++asked}`)), { ...p, maxAttempts: 3 });
    await expect(p.clock.finish(work)).rejects.toThrow(new Unavailable('failure 3'));
    expect(asked).toBe(3);
    expect(p.clock.uptime() - began).toBe(1_500);
  });

  test('stops at once on abort, even in a pause', async () => {
    const stop = new AbortController();
    const p = patience({ signal: stop.signal });
    const work = retry(() => Promise.reject(new Unavailable('down')), p);
    const outcome = expect(work).rejects.toThrow('told to stop');
    await p.clock.settle();
    stop.abort(new Error('told to stop'));
    await outcome;
    expect(p.clock.sleeping()).toBe(0);
  });
});

describe('withTimeout', () => {
  test('aborts the work at its time limit and leaves no timer behind', async () => {
    const { clock } = patience();
    let given: AbortSignal | undefined;
    const work = withTimeout(
      2_000,
      (signal) => {
        given = signal;
        return new Promise<never>(() => {});
      },
      clock,
      never,
    );
    await expect(clock.finish(work)).rejects.toBeInstanceOf(Unavailable);
    expect(given?.aborted).toBe(true);
    expect(clock.sleeping()).toBe(0);
  });

  test('cancels its timer when the work is done in time', async () => {
    const { clock } = patience();
    expect(await withTimeout(2_000, () => Promise.resolve(7), clock, never)).toBe(7);
    await clock.settle();
    expect(clock.sleeping()).toBe(0);
  });

  test('throws its time limit once, and beside it what else the work threw', async () => {
    const { clock } = patience();
    const limited = (give: (reason: unknown) => unknown) =>
      clock.finish(
        withTimeout(
          2_000,
          (signal) =>
            new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(give(signal.reason)))),
          clock,
          never,
        ).catch((error: unknown) => error as Error),
      );
    expect((await limited((reason) => reason)).cause).toBeUndefined();
    const broken = new Error('socket hang up');
    expect(await limited(() => broken)).toMatchObject({ message: 'no answer within 2 s', cause: broken });
  });
});
