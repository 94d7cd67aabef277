import { describe, expect, it } from 'vitest';
import { runIdleDays } from './idle/idle-days.ts';
import { invariants } from './invariants/all.ts';
import { renderLife } from './report.ts';
import { simulate } from './simulate.ts';

/**
 * Each is a life in which something happens that must never happen as soon as the mending is taken
 * out (mutants/): what, and where it was mended. A change of what the model draws makes them mere
 * seeds: `npm run mutants` tells which ones take their place.
 */
const regressions: readonly (readonly [seed: number, story: string])[] = [
  [
    12,
    'of six nodes that booted together the last one found every suggested host name taken, and died (opsworks-installer)',
  ],
  [5, 'SIGTERM while a departure was completing its hook ended the agent at once (agent)'],
  [31, 'one lost answer of the metadata, and a node that waited in a warm pool was terminated (join)'],
  [480, 'metadata still spoke of the warm pool, and the launch hook was completed too early (launch)'],
  [
    35_004_314,
    'an agent stopped placement for a disk too full to note it, was killed, and nobody began it again (judge)',
  ],
  [34_000_886, 'an agent that was killed between its decision and its departure never left (verdicts)'],
];

/**
 * Always the same ones, so that a change is judged by what it changed; `npm run simulate` lives
 * fresh ones.
 */
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
    const { ok, text } = await runIdleDays(1, 4);
    expect(ok, text).toBe(true);
  });
});
