import { describe, expect, it } from 'vitest';
import { runIdleDays } from './idle/idle-days.ts';
import { invariants } from './invariants/all.ts';
import { renderLife } from './report.ts';
import { simulate } from './simulate.ts';

/**
 * Each seed's life breaks an invariant if the named fix is removed (mutants/). The text says how,
 * and the name in brackets says where the fix is. A change of the model's draws turns these into
 * ordinary seeds; `npm run mutants` then finds replacements.
 */
const regressions: readonly (readonly [seed: number, story: string])[] = [
  [
    12,
    'the last of six nodes that booted together found every suggested host name taken and terminated (opsworks-installer)',
  ],
  [5, 'SIGTERM while a departure was completing its hook ended the agent at once (agent)'],
  [31, 'a node in a warm pool terminated after one lost answer of the metadata service (join)'],
  [480, 'the metadata service still named the warm pool, and the agent completed the launch hook too early (launch)'],
  [
    35_004_314,
    'an agent drained for a disk too full to store this, was killed, and no agent set the node ACTIVE again (judge)',
  ],
  [34_000_886, 'an agent that was killed between its decision and its departure never left (verdicts)'],
];

/**
 * The seeds are fixed, so that a result depends only on the change; `npm run simulate` takes fresh
 * seeds.
 */
const firstSeed = 1_000;

/** Returns the report of a broken invariant, if any. */
async function brokenIn(seed: number): Promise<string | undefined> {
  const life = await simulate(seed);
  return life.violation && renderLife(life, invariants);
}

describe('a node in the simulation', () => {
  it.each(regressions)('breaks no invariant with seed %i: %s', async (seed) => {
    expect(await brokenIn(seed)).toBeUndefined();
  });

  it('breaks no invariant in a hundred lives', { timeout: 600_000 }, async () => {
    for (let seed = firstSeed; seed < firstSeed + 100; seed++) expect(await brokenIn(seed)).toBeUndefined();
  });

  it('lives the same life from the same seed', async () => {
    const [once, again] = [await simulate(5), await simulate(5)];
    expect([again.hash, again.ms, again.stats.calls]).toEqual([once.hash, once.ms, once.stats.calls]);
    expect((await simulate(6)).hash).not.toBe(once.hash);
  });

  it('holds no more memory and writes no more after days without events', { timeout: 600_000 }, async () => {
    const { ok, text } = await runIdleDays(1, 4);
    expect(ok, text).toBe(true);
  });
});
