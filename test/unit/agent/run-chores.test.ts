/** Chores keep things up to date while the node is in service, and never condemn it. */

import { describe, expect, it } from 'vitest';
import { runChores } from '../../../agent/run-chores.ts';
import { openStatusBook } from '../../../agent/status.ts';
import { Unavailable } from '../../../core/errors.ts';
import type { Chore } from '../../../upkeep/chore.ts';
import { setStage } from './stage.ts';

const minute = 60_000;

/** A node whose chores have these results, one for each run; the last one lasts. */
function withChores(more: Partial<Chore> = {}, results: (string | Error)[] = ['unchanged']) {
  const { host, world } = setStage();
  const starting = { state: 'joined' as const, detail: '', since: 0 };
  const { instanceId } = world.identity;
  const first = { instanceId, bootId: 'b', at: 0, join: starting, watchers: {}, chores: {}, memories: {} };
  const book = openStatusBook(host, first);
  const stop = new AbortController();
  const service = { signal: undefined as AbortSignal | undefined };
  const runs: number[] = [];
  const run: Chore['run'] = async () => {
    runs.push(host.clock.uptime());
    const [result = 'unchanged'] = results.length > 1 ? results.splice(0, 1) : results;
    if (result instanceof Error) throw result;
    return result as 'changed' | 'unchanged';
  };
  const chore: Chore = { name: 'refresh', everyMs: minute, deadlineMs: 5_000, run, ...more };
  const other: Chore = { name: 'ports', everyMs: minute, deadlineMs: 5_000, run: async () => 'unchanged' };
  const context = { host, book, chores: [chore, other], inService: () => service.signal, random: () => 0.5 };
  const done = runChores(context, stop.signal);
  done.catch(() => {});
  const status = (name = 'refresh') => book.read().chores?.[name];
  const logged = (message: string) => world.log.filter((entry) => entry.message === message).length;
  return { host, world, runs, service, stop, done, status, logged, wait: (ms: number) => world.clock.run(ms) };
}

describe('a chore', () => {
  it('runs within ten seconds, then at its interval, until it is stopped', async () => {
    const { runs, stop, done, wait, status, world } = withChores();
    await wait(10_000);
    expect(runs).toHaveLength(1);
    await wait(10 * minute);
    expect(runs.length).toBeGreaterThanOrEqual(10);
    expect(runs.length).toBeLessThanOrEqual(13);
    expect(status()).toEqual({ outcome: 'unchanged', at: expect.any(Number) });
    stop.abort(new Error('told to stop'));
    await expect(world.clock.finish(done, minute)).rejects.toThrow('told to stop');
  });

  it('shows when it last changed something', async () => {
    const { status, wait, logged, host } = withChores({}, ['changed', 'unchanged']);
    await wait(10_000);
    const { at } = status()!;
    expect(status()).toEqual({ outcome: 'changed', at, changedAt: at });
    await wait(5 * minute);
    expect(status()).toMatchObject({ outcome: 'unchanged', changedAt: at });
    expect(status()!.at).toBeGreaterThan(host.clock.now() - 2 * minute);
    expect(logged('brought up to date')).toBe(1);
  });

  it('tells a failure once, shows since when it fails, and delays no other', async () => {
    const [away, closed] = ['away', 'closed'].map((words) => new Unavailable(words));
    const { status, wait, logged } = withChores({}, [away!, away!, closed!, 'unchanged']);
    await wait(10_000);
    const failed = status()!;
    expect(failed).toEqual({ outcome: 'failed', at: failed.at, error: 'away', failingSince: failed.at });
    expect(status('ports')?.outcome).toBe('unchanged');
    await wait(minute);
    expect([status()?.failingSince, logged('chore failed')]).toEqual([failed.at, 1]);
    await wait(minute);
    expect(status()).toMatchObject({ error: 'closed', failingSince: failed.at });
    expect(logged('chore failed')).toBe(2);
    await wait(3 * minute);
    expect(status()).toEqual({ outcome: 'unchanged', at: expect.any(Number) });
    expect([logged('chore works again'), logged('chore failed')]).toEqual([1, 2]);
    expect(status()).not.toHaveProperty('changedAt');
  });

  it('fails at its deadline where it hangs, and runs again', async () => {
    let runs = 0;
    const run = () => {
      runs++;
      return new Promise<never>(() => {});
    };
    const { status, wait } = withChores({ run });
    await wait(20_000);
    expect(status()?.outcome).toBe('failed');
    await wait(5 * minute);
    expect(runs).toBeGreaterThan(2);
  });

  it('waits until the node is in service, and runs soon after', async () => {
    const { runs, service, wait, status } = withChores({ afterJoin: true, everyMs: 30 * minute });
    await wait(10 * minute);
    expect([runs, status()]).toEqual([[], undefined]);
    service.signal = new AbortController().signal;
    await wait(10_000);
    expect(runs).toHaveLength(1);
    await wait(10 * minute);
    expect(runs).toHaveLength(1);
  });

  it('has neither failed nor been done where it is cut off because the node leaves', async () => {
    const leaves = new AbortController();
    const run: Chore['run'] = (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('cut off')));
      });
    const { service, wait, status, logged } = withChores({ afterJoin: true, deadlineMs: minute, run });
    service.signal = leaves.signal;
    await wait(15_000);
    leaves.abort(new Error('the node leaves'));
    service.signal = undefined;
    await wait(5 * minute);
    expect(status()).toBeUndefined();
    expect(logged('chore failed')).toBe(0);
  });
});
