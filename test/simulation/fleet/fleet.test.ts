import { expect, it } from 'vitest';
import { invariants } from '../invariants/all.ts';
import { renderLife } from '../report.ts';
import { simulateFleet } from './fleet-life.ts';

it(
  'a fleet lives through full disks, an outage and sweeps without a broken invariant',
  { timeout: 600_000 },
  async () => {
    const life = await simulateFleet(1, 12);
    expect(life.violation && renderLife(life, invariants)).toBeUndefined();
    // The life had what it is for.
    expect(life.mostDraining).toBeGreaterThan(0);
    expect(life.failedSweeps).toBeGreaterThan(0);
    expect(life.sweeps).toBeGreaterThan(life.failedSweeps);
    expect([...life.swept.keys()].filter((key) => key.endsWith(': done'))).not.toEqual([]);
  },
);
