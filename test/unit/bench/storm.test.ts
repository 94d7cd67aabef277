import { describe, expect, it } from 'vitest';
import { launchBadImage } from '../../../bench/storm/acts/bad-image-act.ts';
import { renderChart, ticks } from '../../../bench/storm/report/chart.ts';
import { launchAtOnce } from '../../../bench/storm/acts/launch-act.ts';
import { openStormClock } from '../../../bench/storm/clock.ts';
import { drawCalls } from '../../../bench/storm/report/pictures.ts';
import { admitAll, limitOf, limits, openAdmission } from '../../../bench/storm/limits.ts';
import { cli, ecsAgent, openClient, own, type RetryPolicy } from '../../../bench/storm/client.ts';
import { reclaimTenth } from '../../../bench/storm/acts/reclaim-act.ts';
import { patient, stormConfig } from '../../../bench/storm/settings.ts';
import { openTokenBucket } from '../../../bench/storm/token-bucket.ts';
import { count, emptyTraffic, total } from '../../../bench/storm/traffic.ts';
import { openChance } from '../../simulation/faults/chance.ts';
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
    expect(() => limitOf('s3:GetObject')).toThrow('has no limit for s3:GetObject');
    for (const { actions, burst } of limits) {
      const admit = openAdmission();
      const passed = Array.from({ length: burst + 5 }, () => admit(actions[0]!.replace('*', 'Any'), 0));
      expect(passed.filter(Boolean)).toHaveLength(burst);
    }
  });
});

describe('a client of a storm', () => {
  const give = async (manner: RetryPolicy, admitted: number) => {
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
    expect(await give(own, 0)).toEqual({ outcome: 'answered', sent: 1, throttled: 0 });
    expect(await give(own, 1)).toEqual({ outcome: 'ec2:CreateTags: throttled', sent: 1, throttled: 1 });
    expect(await give(ecsAgent, 2)).toEqual({ outcome: 'answered', sent: 3, throttled: 2 });
    expect(await give(cli, 4)).toEqual({ outcome: 'answered', sent: 5, throttled: 4 });
    expect((await give(cli, 5)).outcome).toContain('throttled');
  });
});

describe("the storm's clock", () => {
  it('wakes thousands of sleepers on time, at most 10 ms late, and forgets cancelled ones', async () => {
    const clock = openStormClock(0);
    const chance = openChance(3);
    const began = clock.uptime();
    const late: number[] = [];
    const cancels = Array.from({ length: 3_000 }, () => {
      const ms = chance.between(0, 5_000);
      return clock.schedule(ms, () => void late.push(clock.uptime() - began - ms));
    });
    for (const cancel of cancels.filter((_, asked) => asked % 3 === 0)) cancel();
    expect(clock.sleeping()).toBe(2_000);
    while (await clock.step(1e6));
    expect(late).toHaveLength(2_000);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...late)).toBeLessThan(10);
  });

  it('wakes sleepers of one time in their order, and continues with their next actions at once', async () => {
    const clock = openStormClock(0);
    const woken: string[] = [];
    const sleep = async (name: string, ms: number) => {
      await clock.sleep(ms, never);
      woken.push(name);
      if (name === 'first') await sleep('follows', 0);
    };
    const all = Promise.all([sleep('first', 12), sleep('second', 11), sleep('soon', 1)]);
    while (await clock.step(1e6));
    await all;
    expect(woken).toEqual(['soon', 'first', 'second', 'follows']);
  });

  it('wakes no removed sleeper, and rejects with the reason', async () => {
    const clock = openStormClock(0);
    const stop = new AbortController();
    const heard: string[] = [];
    const sleep = (name: string, isThere: boolean) =>
      void clock
        .sleepWhile(() => isThere, 50, stop.signal)
        .then(
          () => heard.push(`${name} woke`),
          (error: Error) => heard.push(`${name}: ${error.message}`),
        );
    sleep('dead', false);
    sleep('alive', true);
    stop.abort(new Error('told to stop'));
    sleep('late', true);
    while (await clock.step(1e6));
    expect(heard.toSorted()).toEqual(['alive: told to stop', 'late: told to stop']);
  });
});

describe('a small storm', () => {
  it.each(['none', 'ssm'] as const)(
    'of fifty nodes with registrar %s ends with all in service and none terminated',
    async (registrar) => {
      const launch = await launchAtOnce(50, 1, { label: registrar, registrar });
      expect(launch.violations).toEqual([]);
      expect([launch.inServiceMs.length, launch.deaths, launch.wrongly]).toEqual([50, 0, 0]);
    },
  );

  it('terminates no node that registers in OpsWorks at one call per second', async () => {
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

  it('drains every interrupted spot node within its two minutes, and no other', async () => {
    const { world } = await launchAtOnce(20, 1, { label: 'none', registrar: 'none' });
    const { reclaimed, drainingMs, never: missed, wrongly } = await reclaimTenth(world);
    expect([reclaimed, drainingMs.length, missed, wrongly]).toEqual([2, 2, 0, 0]);
    expect(drainingMs.at(-1)).toBeLessThan(120_000);
    expect(world.cluster.instances.filter(({ status }) => status === 'ACTIVE')).toHaveLength(18);
  });

  it('of a bad image ends with a few terminated and the others waiting, also after the window', async () => {
    const { maxFailures } = stormConfig('none').stormGuard;
    const { counts } = await launchBadImage(15, 1, 1.5);
    expect(counts[59]!.dead).toBeLessThanOrEqual(maxFailures + 2);
    expect(counts[59]).toMatchObject({ alive: 15, waiting: 15 });
    expect(counts[90]!.dead).toBeLessThanOrEqual(4 * maxFailures);
  });
});

describe("the storm's pictures", () => {
  it('have titles and units, work in both colour schemes, and escape their input', () => {
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

  it('show calls per node beside their outcomes', () => {
    const traffic = emptyTraffic();
    count(traffic.sent, 'ec2:CreateTags', 40);
    count(traffic.throttled, 'ec2:CreateTags', 30);
    count(traffic.sent, 'ssm:Any', 0);
    const svg = drawCalls([{ label: 'ecs-node', nodes: 10, traffic }], 'calls of 10 nodes');
    expect(svg).toContain('>ec2:CreateTags<');
    expect(svg).not.toContain('ssm:Any');
    expect(svg).toContain('>4.0 (1.0)<');
    const widths = [...svg.matchAll(/<rect x="290".*? width="([\d.]+)"/g)].map(([, width]) => Number(width));
    expect(widths).toEqual([350, 87.5]);
  });

  it('have round numbers on their axes', () => {
    expect(ticks(1000)).toEqual([0, 200, 400, 600, 800, 1000]);
    expect(ticks(7.3)).toEqual([0, 2, 4, 6]);
    expect(admitAll('any', 0)).toBe(true);
  });
});
