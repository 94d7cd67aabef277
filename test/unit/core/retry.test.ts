import { describe, expect, test } from 'vitest';
import { ConfigError, Refused, Unavailable } from '../../../core/errors.ts';
import { retry, poll, withTimeout, type RetryOptions } from '../../../core/retry.ts';
import { openFakeClock } from '../../fakes/clock.ts';

const never = new AbortController().signal;

function patience(more: Partial<RetryOptions> = {}): RetryOptions & { clock: ReturnType<typeof openFakeClock> } {
  const clock = openFakeClock();
  return { signal: never, withinMs: 60_000, random: () => 1, ...more, clock };
}

describe('retry', () => {
  test('tries again what time may heal, waiting twice as long each time up to its ceiling', async () => {
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

  // Ten thousand nodes that asked every twenty seconds kept each other from being heard for an
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
    'never asks again after %s',
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
  test('tells the last failure that says something, and not that the last try was cut short', async () => {
    const p = patience({ withinMs: 10_000, pauseMs: 1_000 });
    let tries = 0;
    const work = retry(async () => {
      tries += 1;
      if (tries === 1) throw new Unavailable('ecs.us-east-1.amazonaws.com: getaddrinfo EAI_AGAIN');
      return new Promise<never>(() => {});
    }, p);
    await expect(p.clock.finish(work)).rejects.toThrow(/EAI_AGAIN/);
    const q = patience({ withinMs: 10_000 });
    tries = 0;
    const polled = poll(
      'registration',
      async () => {
        tries += 1;
        if (tries === 1) throw new Unavailable('opsworks: getaddrinfo EAI_AGAIN');
        return new Promise<never>(() => {});
      },
      { ...q, everyMs: 1_000 },
    );
    await expect(q.clock.finish(polled)).rejects.toThrow(/^registration: not within 10 s: opsworks: .*EAI_AGAIN/);
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
    const work = retry(() => new Promise<never>(() => {}), p);
    await expect(p.clock.finish(work)).rejects.toBeInstanceOf(Unavailable);
  });

  test('stops at once when it is told to, even in a pause', async () => {
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

describe('until', () => {
  test('takes failures that may heal for "not yet"', async () => {
    const p = patience();
    const answers = [undefined, new Unavailable('slow'), undefined, 'online'];
    const work = poll(
      'online',
      async () => {
        const answer = answers.shift();
        if (answer instanceof Error) throw answer;
        return answer;
      },
      { ...p, everyMs: 1_000 },
    );
    expect(await p.clock.finish(work)).toBe('online');
  });

  // A thousand nodes that asked every five seconds, whatever the answer, kept each other from being
  // heard.
  test('asks less and less often while nobody answers, and at its usual pace when somebody does', async () => {
    const p = patience({ withinMs: 600_000, random: () => 1 });
    const at: number[] = [];
    const work = poll(
      'online',
      async () => {
        at.push(p.clock.uptime());
        if (at.length < 6) throw new Unavailable('throttled');
        return at.length < 8 ? undefined : 'online';
      },
      { ...p, everyMs: 5_000 },
    );
    expect(await p.clock.finish(work)).toBe('online');
    const pauses = at.slice(1).map((time, index) => Math.round(time - at[index]!));
    expect(pauses).toEqual([10_000, 10_000, 10_000, 10_000, 10_000, 5_500, 5_500]);
  });

  // Six throttled polls in a row cost a single node three minutes.
  test('loses a minute at most to six failures in a row, and asks every 40 s where the silence goes on', async () => {
    const p = patience({ withinMs: 3_600_000, random: () => 1 });
    const at: number[] = [];
    const ask = () => {
      at.push(p.clock.uptime());
      return Promise.reject(new Unavailable('throttled'));
    };
    await expect(p.clock.finish(poll('online', ask, { ...p, everyMs: 5_000 }))).rejects.toThrow(Unavailable);
    expect(at[6]! - at[0]!).toBeLessThanOrEqual(65_000);
    const late = at.filter((time) => time - at[0]! > 180_000);
    expect(late[1]! - late[0]!).toBe(40_000);
    expect(at.length).toBeLessThanOrEqual(110);
  });

  test('asks once more before the time is up, however slow it has become', async () => {
    const p = patience({ withinMs: 60_000, random: () => 1 });
    let last = 0;
    const ask = () => {
      last = p.clock.uptime();
      return Promise.reject(new Unavailable('throttled'));
    };
    const end = p.clock.uptime() + 60_000;
    await expect(p.clock.finish(poll('online', ask, { ...p, everyMs: 5_000 }))).rejects.toThrow('not within 60 s');
    expect(end - last).toBeLessThanOrEqual(5_000);
  });

  test('says what it waited for, how long, and what the last trouble was', async () => {
    const p = patience({ withinMs: 3_000 });
    const work = poll('the node is registered', () => Promise.reject(new Unavailable('throttled')), {
      ...p,
      everyMs: 1_000,
    });
    await expect(p.clock.finish(work)).rejects.toThrow('the node is registered: not within 3 s: throttled');
  });
});

describe('within', () => {
  test('aborts the work when the time is up and leaves no timer behind', async () => {
    const { clock } = patience();
    let heard: AbortSignal | undefined;
    const work = withTimeout(
      2_000,
      (signal) => {
        heard = signal;
        return new Promise<never>(() => {});
      },
      clock,
      never,
    );
    await expect(clock.finish(work)).rejects.toBeInstanceOf(Unavailable);
    expect(heard?.aborted).toBe(true);
    expect(clock.sleeping()).toBe(0);
  });

  test('forgets its timer when the work is done in time', async () => {
    const { clock } = patience();
    expect(await withTimeout(2_000, () => Promise.resolve(7), clock, never)).toBe(7);
    await clock.settle();
    expect(clock.sleeping()).toBe(0);
  });
});
