import { describe, expect, it } from 'vitest';
import { boredom } from './boredom.ts';
import { invariants } from './invariants/all.ts';
import { renderLife } from './report.ts';
import { simulate } from './simulate.ts';

/** Each was a life in which something happened that must never happen: what, and where it was mended. */
const regressions: readonly (readonly [seed: number, story: string])[] = [
  [
    47,
    'of six nodes that booted together the last one found every suggested host name taken, and died (opsworks-installer)',
  ],
  [2, 'SIGTERM while a departure was completing its hook ended the agent at once (agent)'],
  [1291, 'the group was told to end a node whose termination protection still held (terminate)'],
  [1526, 'a node whose introspection port did not answer was never in service (join)'],
  [2062, 'a call that hung counted as an answer, and a slow setup as a failed one (waiting)'],
  [11311, 'a spot stop took over another departure, the machine came back, and nobody ended it (verdicts)'],
  [2689, 'a restart of the ECS agent kept a node DRAINING that should have stayed (memories)'],
];

/** Always the same ones, so that a change is judged by what it changed; `npm run simulate` lives fresh ones. */
const firstSeed = 1_000;

/** What to read when a promise was broken. */
async function brokenIn(seed: number): Promise<string | undefined> {
  const life = await simulate(seed);
  return life.violation && renderLife(life, invariants);
}

describe('a node whose whole life is simulated', () => {
  it.each(regressions)('lives through seed %i: %s', async (seed) => {
    expect(await brokenIn(seed)).toBeUndefined();
  });

  it('keeps every promise in a hundred lives', { timeout: 120_000 }, async () => {
    for (let seed = firstSeed; seed < firstSeed + 100; seed++) expect(await brokenIn(seed)).toBeUndefined();
  });

  it('lives the same life from the same seed', async () => {
    const [once, again] = [await simulate(5), await simulate(5)];
    expect([again.hash, again.ms, again.stats.calls]).toEqual([once.hash, once.ms, once.stats.calls]);
    expect((await simulate(6)).hash).not.toBe(once.hash);
  });

  it('holds and writes no more after days in which nothing happens', { timeout: 240_000 }, async () => {
    const { ok, text } = await boredom(1, 4);
    expect(ok, text).toBe(true);
  });
});
