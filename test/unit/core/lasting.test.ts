import { expect, it } from 'vitest';
import { openLasting } from '../../../core/lasting.ts';
import { openFakeClock } from '../../fakes/clock.ts';

const never = new AbortController().signal;

/** Answers one second apart. */
async function lastingAfter(ms: number, answers: readonly (boolean | string)[]): Promise<boolean[]> {
  const clock = openFakeClock();
  const lasts = openLasting(clock, ms);
  const seen: boolean[] = [];
  for (const answer of answers) {
    seen.push(lasts(answer));
    await clock.finish(clock.sleep(1_000, never));
  }
  return seen;
}

it('counts an answer only once it has come for the whole time', async () => {
  expect(await lastingAfter(2_000, [true, true, true, true])).toEqual([false, false, true, true]);
});

it('begins anew after another answer', async () => {
  expect(await lastingAfter(1_000, [true, false, true, true])).toEqual([false, false, false, true]);
  expect(await lastingAfter(1_000, ['stopped', 'failed', 'failed'])).toEqual([false, false, true]);
});

it('never counts the absence of the answer', async () => {
  expect(await lastingAfter(1_000, [false, false, false])).toEqual([false, false, false]);
});

it('counts the first answer where no time is asked for', async () => {
  expect(await lastingAfter(0, [true, false])).toEqual([true, false]);
});
