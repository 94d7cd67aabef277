import { describe, expect, test } from 'vitest';
import { Unavailable } from '../../../core/errors.ts';
import { poll } from '../../../core/poll.ts';
import type { RetryOptions } from '../../../core/retry.ts';
import { openFakeClock } from '../../fakes/clock.ts';

const never = new AbortController().signal;

function patience(more: Partial<RetryOptions> = {}): RetryOptions & { clock: ReturnType<typeof openFakeClock> } {
  const clock = openFakeClock();
  return { signal: never, withinMs: 60_000, random: () => 1, ...more, clock };
}

describe('poll', () => {
  test('counts failures that may heal as "not yet"', async () => {
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
  test('reads less and less often while AWS is silent, and at its interval after an answer', async () => {
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
  test('loses at most a minute to six failures in a row, and reads every 40 s in a long silence', async () => {
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

  test('reads once more before its time is up, however long its pauses are', async () => {
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

  test('names in its error the awaited thing, the time and the last failure', async () => {
    const p = patience({ withinMs: 3_000 });
    const work = poll('the node is registered', () => Promise.reject(new Unavailable('throttled')), {
      ...p,
      everyMs: 1_000,
    });
    await expect(p.clock.finish(work)).rejects.toThrow('the node is registered: not within 3 s: throttled');
  });

  test('reports the last informative failure, and not that the last poll was cut short', async () => {
    const p = patience({ withinMs: 10_000 });
    let tries = 0;
    const polled = poll(
      'registration',
      async () => {
        tries += 1;
        if (tries === 1) throw new Unavailable('opsworks: getaddrinfo EAI_AGAIN');
        return new Promise<never>(() => {});
      },
      { ...p, everyMs: 1_000 },
    );
    await expect(p.clock.finish(polled)).rejects.toThrow(/^registration: not within 10 s: opsworks: .*EAI_AGAIN/);
  });
});
