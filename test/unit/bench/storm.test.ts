import { describe, expect, it } from 'vitest';
import { launchBadImage } from '../../../bench/storm/bad-image-act.ts';
import { renderChart, ticks } from '../../../bench/storm/chart.ts';
import { launchAtOnce } from '../../../bench/storm/launch-act.ts';
import { admitAll, limitOf, limits, openAdmission } from '../../../bench/storm/limits.ts';
import { cli, openClient, sdk, type Manner } from '../../../bench/storm/client.ts';
import { reclaimTenth } from '../../../bench/storm/reclaim-act.ts';
import { patient, stormConfig } from '../../../bench/storm/settings.ts';
import { openTokenBucket } from '../../../bench/storm/token-bucket.ts';
import { emptyTraffic, total } from '../../../bench/storm/traffic.ts';
import { openChance } from '../../simulation/chance.ts';
import { openSimulatedClock } from '../../simulation/clock.ts';

const never = new AbortController().signal;

describe('a token bucket', () => {
  it('lets a burst through, then as many as it refills, and never holds more than it can', () => {
    const bucket = openTokenBucket(3, 2);
    const takes = (now: number, times: number) =>
      Array.from({ length: times }, () => bucket.take(now)).filter(Boolean).length;
    expect(takes(0, 10)).toBe(3);
    expect(takes(250, 10)).toBe(0);
    expect(takes(500, 10)).toBe(1);
    expect(takes(60_000, 10)).toBe(3);
  });

  it('is one for all calls that AWS counts together, and full in a new world', () => {
    expect(limitOf('ecs:ListTasks')).toBe(limitOf('ecs:DescribeContainerInstances'));
    expect(limitOf('ec2:CreateTags')).not.toBe(limitOf('ec2:TerminateInstances'));
    expect(() => limitOf('s3:GetObject')).toThrow('no limit is known');
    for (const { actions, burst } of limits) {
      const admit = openAdmission();
      const passed = Array.from({ length: burst + 5 }, () => admit(actions[0]!.replace('*', 'Any'), 0));
      expect(passed.filter(Boolean)).toHaveLength(burst);
    }
  });
});

describe('a client of a storm', () => {
  const give = async (manner: Manner, admitted: number) => {
    const clock = openSimulatedClock(0);
    const traffic = emptyTraffic();
    let left = admitted;
    const wire = { admit: () => left-- <= 0, traffic, chance: openChance(1), uptime: clock.uptime };
    const done = openClient(wire, manner, clock.sleep)
      .call('ec2:CreateTags', never)
      .then(
        () => 'answered',
        (error: Error) => error.message,
      );
    for (let i = 0; i < 20; i++) await clock.step(1e9);
    return { outcome: await done, sent: total(traffic.sent), throttled: total(traffic.throttled) };
  };

  it('repeats a throttled call as that client does, and counts each time', async () => {
    expect(await give(sdk, 1)).toEqual({ outcome: 'answered', sent: 2, throttled: 1 });
    expect(await give(sdk, 2)).toEqual({ outcome: 'ec2:CreateTags: throttled', sent: 2, throttled: 2 });
    expect(await give(cli, 4)).toEqual({ outcome: 'answered', sent: 5, throttled: 4 });
    expect((await give(cli, 5)).outcome).toContain('throttled');
  });
});

describe("the storm's clock", () => {
  it('wakes thousands in their order, the earlier asked first among equals, and forgets those that were cancelled', async () => {
    const clock = openSimulatedClock(0);
    const chance = openChance(3);
    const woken: [at: number, asked: number][] = [];
    const cancels = Array.from({ length: 3_000 }, (_, asked) => {
      const ms = chance.whole(0, 500);
      return clock.schedule(ms, () => void woken.push([ms, asked]));
    });
    for (const cancel of cancels.filter((_, asked) => asked % 3 === 0)) cancel();
    while (await clock.step(1e6));
    expect(woken).toHaveLength(2_000);
    expect(woken).toEqual(woken.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]));
  });
});

describe('a small storm', { timeout: 60_000 }, () => {
  it.each(['none', 'ssm'] as const)(
    'of fifty nodes with registrar %s ends with all in service and nobody dead',
    async (registrar) => {
      const launch = await launchAtOnce(50, 1, { label: registrar, registrar });
      expect(launch.violations).toEqual([]);
      expect([launch.inServiceMs.length, launch.deaths, launch.wrongly]).toEqual([50, 0, 0]);
    },
  );

  it('that registers in OpsWorks at one call per second costs nobody its life', async () => {
    const launch = await launchAtOnce(20, 1, { label: 'opsworks', registrar: 'opsworks', more: patient });
    expect(launch.violations).toEqual([]);
    expect([launch.inServiceMs.length, launch.deaths]).toEqual([20, 0]);
    expect(total(launch.traffic.throttled)).toBeGreaterThan(0);
  });

  it('is the same from the same seed', async () => {
    const figures = async (seed: number) => {
      const { inServiceMs, traffic } = await launchAtOnce(10, seed, { label: 'x', registrar: 'opsworks' });
      return JSON.stringify([inServiceMs, [...traffic.sent]]);
    };
    const once = await figures(5);
    expect(await figures(5)).toBe(once);
    expect(await figures(6)).not.toBe(once);
  });

  it('drains every node that spot takes within its two minutes, and no other', async () => {
    const { world } = await launchAtOnce(20, 1, { label: 'none', registrar: 'none' });
    const { reclaimed, drainingMs, never: missed, wrongly } = await reclaimTenth(world);
    expect([reclaimed, drainingMs.length, missed, wrongly]).toEqual([2, 2, 0, 0]);
    expect(drainingMs.at(-1)).toBeLessThan(120_000);
    expect(world.cluster.instances.filter(({ status }) => status === 'ACTIVE')).toHaveLength(18);
  });

  it('of a bad image ends with a few dead and all others waiting, also when the window is over', async () => {
    const { maxFailures } = stormConfig('none').stormGuard;
    const { census } = await launchBadImage(15, 1, 1.5);
    expect(census[59]!.dead).toBeLessThanOrEqual(maxFailures + 2);
    expect(census[59]).toMatchObject({ alive: 15, waiting: 15 });
    expect(census[90]!.dead).toBeLessThanOrEqual(4 * maxFailures);
  });
});

describe("the storm's pictures", () => {
  it('say what they show, with units, in both colour schemes, and escape what they are given', () => {
    const svg = renderChart({
      title: 'a < b',
      x: { label: 'minutes', max: 60 },
      y: { label: 'nodes', max: 1000 },
      series: [
        {
          label: 'R & D',
          points: [
            [0, 0],
            [60, 1000],
          ],
        },
      ],
    });
    expect(svg).toContain('a &lt; b');
    expect(svg).toContain('R &amp; D');
    expect(svg).toContain('prefers-color-scheme:dark');
    for (const text of ['minutes', 'nodes', '>60<', '>1000<']) expect(svg).toContain(text);
  });

  it('have round numbers on their axes', () => {
    expect(ticks(1000)).toEqual([0, 200, 400, 600, 800, 1000]);
    expect(ticks(7.3)).toEqual([0, 2, 4, 6]);
    expect(admitAll('any', 0)).toBe(true);
  });
});
