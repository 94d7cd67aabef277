import { describe, expect, it } from 'vitest';
import { judgeFailure } from '../../../bootstrap/failure-outcome.ts';
import { hold } from '../../../bootstrap/hold.ts';
import { judgeStorm, readStorm, turnOf } from '../../../bootstrap/storm-guard.ts';
import { ConfigError, Refused, StepError, Unavailable, Unfit, UsageError } from '../../../core/errors.ts';
import type { Host, ScalingActivity } from '../../../core/host.ts';
import { paths } from '../../../core/state/state.ts';
import { openFakeHost } from '../../fakes/host.ts';
import { plainConfig, setStage, signal } from './stage.ts';

const now = Date.UTC(2030, 0, 1);
const minute = 60_000;

const launch = (instanceId: string, at: number, succeeded = true): ScalingActivity => ({
  kind: 'launch',
  instanceId,
  at,
  succeeded,
});
const end = (instanceId: string, at: number): ScalingActivity => ({
  kind: 'terminate',
  instanceId,
  at,
  succeeded: true,
});
/** Instances that lived `minutes` and died one after the other, the last one a minute ago. */
const deaths = (count: number, minutes = 5): ScalingActivity[] =>
  Array.from({ length: count }, (_, i) => {
    const died = now - (count - i) * minute;
    return [launch(`i-${i}`, died - minutes * minute), end(`i-${i}`, died)];
  }).flat();

describe('a failed bootstrap', () => {
  const config = plainConfig();

  it('terminates the node only when it lacks something essential', () => {
    const unfit = new Unfit('opsworks-record', 'setup_failed');
    expect(judgeFailure(new StepError('register', unfit), config)).toBe('for-good');
    expect(judgeFailure(new StepError('register', new Unavailable('throttled')), config)).toBe('retry-later');
    for (const error of [
      new ConfigError([]),
      new UsageError('x'),
      new TypeError('a bug'),
      new Error('ENOSPC'),
      'text',
    ]) {
      expect(judgeFailure(new StepError('register', error), config)).toBe('operator');
      expect(judgeFailure(error, config)).toBe('operator');
    }
  });

  it('waits for a person after any refusal, because the next node would meet the same one', () => {
    for (const code of [
      'AccessDenied',
      'UnauthorizedOperation',
      'ValidationException',
      'TagLimitExceeded',
      undefined,
    ]) {
      const refused = new Refused('no', code === undefined ? {} : { code });
      expect(judgeFailure(new StepError('register', refused), config)).toBe('retry-slowly');
    }
  });

  it('keeps the node when configured to', () => {
    const keep = plainConfig({ bootstrap: { onFailure: 'keep' } });
    expect(judgeFailure(new Unfit('opsworks-layer', 'no'), keep)).toBe('operator');
    expect(judgeFailure(new Unavailable('late'), keep)).toBe('retry-later');
  });
});

describe('the storm guard', () => {
  const config = plainConfig({ stormGuard: { maxFailures: 3, firstWaitSeconds: 300, maxWaitSeconds: 3600 } });
  const judge = (activities: ScalingActivity[]) => judgeStorm(activities, config, now);

  it('lets a node terminate after few failures, and doubles the wait with each further one', () => {
    expect(judge([])).toEqual({ kind: 'proceed', failures: 0 });
    expect(judge(deaths(2))).toEqual({ kind: 'proceed', failures: 2 });
    const waits = [3, 4, 5, 6, 7, 50].map((count) => judge(deaths(count)));
    expect(waits.map((storm) => (storm.kind === 'hold' ? storm.waitMs / 1000 : 0))).toEqual([
      300, 600, 1200, 2400, 3600, 3600,
    ]);
    expect(waits[0]).toMatchObject({ failures: 3, reason: '3 nodes of the group died young within 3600 s' });
  });

  it('does not overflow when a thousand nodes failed', () => {
    const many = Array.from({ length: 2_000 }, (_, i) => launch(`i-${i}`, now - minute, false));
    expect(judge(many)).toMatchObject({ kind: 'hold', waitMs: 3_600_000 });
  });

  it('counts only early failures within the window, and each instance once', () => {
    const lived = (minutes: number) =>
      judge([...deaths(2), ...deaths(1, minutes).map((a) => ({ ...a, instanceId: 'x' }))]);
    // 10 minutes for the bootstrap, 15 to join and 10 to end.
    expect(lived(35)).toMatchObject({ kind: 'hold', failures: 3 });
    expect(lived(36)).toMatchObject({ kind: 'proceed', failures: 2 });
    const old = deaths(3).map((activity) => ({ ...activity, at: activity.at - 3600_000 }));
    expect(judge(old)).toMatchObject({ kind: 'proceed', failures: 0 });
    expect(judge([...deaths(2), ...deaths(2)])).toMatchObject({ failures: 2 });
    expect(judge([end('i-old-1', now), end('i-old-2', now), end('i-old-3', now)])).toMatchObject({ failures: 0 });
  });

  // A bad image with ten thousand nodes ended 318 of them in two hours: most of their launches were
  // no longer listed.
  it('counts failures whose launch a truncated history may omit, unless they were certainly old', () => {
    const listed = (count: number, minutesAgo: number) =>
      Array.from({ length: count }, (_, i) => launch(`i-${i}`, now - minutesAgo * minute));
    const unlisted = ['x', 'y', 'z'].map((id) => end(id, now - minute));
    expect(judge([...listed(2_000, 10), ...unlisted])).toMatchObject({ kind: 'hold', failures: 3 });
    expect(judge([...listed(2_000, 60), ...unlisted])).toMatchObject({ kind: 'proceed', failures: 0 });
    expect(judge([...listed(100, 10), ...unlisted])).toMatchObject({ kind: 'proceed', failures: 0 });
    // This node has waited for hours itself, so nodes that waited at the same time count as early
    // failures.
    const waited = judgeStorm([...listed(2_000, 120), ...unlisted], config, now, 120 * minute);
    expect(waited).toMatchObject({ kind: 'hold', failures: 3 });
  });

  it("takes the oldest listed launch for the node's own when a truncated history omits that", async () => {
    const { host, world } = setStage(config);
    const at = host.clock.now();
    const listed = Array.from({ length: 2_000 }, (_, i) => launch(`i-${i}`, at - 120 * minute));
    world.joinGroup('web').activities = [...listed, ...['x', 'y', 'z'].map((id) => end(id, at - minute))];
    expect(await readStorm(host, config, signal)).toMatchObject({ kind: 'hold', failures: 3 });
  });

  it.each([2, 6, 30])('counts the failures of the last minutes on a clock that is %i h fast', async (hours) => {
    for (const told of [true, false]) {
      const { host, world } = setStage(config);
      const at = host.clock.now();
      world.metadata.now = told ? () => at : undefined;
      world.joinGroup('web').activities = [...deaths(3), launch(world.identity.instanceId, at - minute)];
      world.clock.jump(hours * 60 * minute);
      expect(await readStorm(host, config, signal)).toMatchObject({ kind: 'hold', failures: 3 });
    }
  });

  it('takes the wrong time of one clock for no proof that failures are old, nor its own wait for one', async () => {
    const { host, world } = setStage(config);
    const at = host.clock.now();
    const older = launch('i-older', at - 10 * 60 * minute);
    world.joinGroup('web').activities = [older, ...deaths(3), launch(world.identity.instanceId, at)];
    world.metadata.now = () => at + 15 * 24 * 60 * minute;
    expect(await readStorm(host, config, signal)).toMatchObject({ kind: 'hold', failures: 3 });
    world.metadata.now = undefined;
    await world.clock.run(2 * 60 * minute);
    expect(await world.clock.finish(readStorm(host, config, signal))).toMatchObject({ kind: 'proceed', failures: 0 });
  });

  it('counts abandoned launches, but not those without capacity', () => {
    const abandoned = ['a', 'b', 'c'].map((id) => launch(id, now - minute, false));
    expect(judge(abandoned)).toMatchObject({ kind: 'hold', failures: 3 });
    expect(judge(abandoned.map((activity) => ({ ...activity, instanceId: '' })))).toMatchObject({ failures: 0 });
  });

  it("reads the group's history as far back as it needs, without the node itself", async () => {
    const { host, world } = setStage(config);
    const group = world.joinGroup('web');
    group.activities = [...deaths(2), launch(world.identity.instanceId, host.clock.now(), false)];
    const since = host.clock.now() - 12 * 60 * minute;
    expect(await world.clock.finish(readStorm(host, config, signal))).toEqual({ kind: 'proceed', failures: 2 });
    expect(world.calls.of('readActivities')[0]!.args).toEqual(['web', since]);
    group.activities = deaths(3);
    expect(await readStorm(host, config, signal)).toMatchObject({ kind: 'hold', failures: 3, group: 'web' });
    const longWindow = plainConfig({ stormGuard: { windowSeconds: 86_400 } });
    await readStorm(host, longWindow, signal);
    expect(world.calls.of('readActivities').at(-1)!.args[1]).toBe(host.clock.now() - (86_400 + 600 + 900 + 600) * 1000);
  });

  // A thousand nodes of a bad image failed in the same minute. None saw another node's end, and all
  // terminated themselves.
  it('lets nodes that failed together terminate one by one, until enough failed for the rest to wait', async () => {
    const { host, world } = setStage(config);
    const group = world.joinGroup('web');
    const before = ['i-000', 'i-001', 'i-002'];
    group.activities = before.map((id) => launch(id, host.clock.now() - 5 * minute));
    const asked = host.clock.uptime();
    const storm = readStorm(host, config, signal);
    await world.clock.run(10_000);
    for (const id of before) group.activities.push(end(id, host.clock.now()));
    expect(await world.clock.finish(storm)).toMatchObject({ kind: 'hold', failures: 3 });
    expect(host.clock.uptime() - asked).toBeGreaterThanOrEqual(30_000);
  });

  // In a group of a thousand, all nodes with a late turn read again after the same five minutes.
  // Six of them terminated before one saw the end of another.
  it('spreads the nodes whose turn comes after the longest pause', async () => {
    const { host, world } = setStage(config);
    const group = world.joinGroup('web');
    const wait = async () => {
      group.activities = Array.from({ length: 500 }, (_, i) => launch(`i-000${i}`, host.clock.now() - 5 * minute));
      const asked = host.clock.uptime();
      await world.clock.finish(readStorm(host, config, signal));
      return host.clock.uptime() - asked;
    };
    const waits = [await wait(), await wait(), await wait(), await wait()];
    expect(new Set(waits.map((ms) => Math.round(ms / 100))).size).toBeGreaterThan(1);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(225_000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(375_000 + 1_000);
  });

  // All nodes that had been held for an hour ended in the same minutes: none counted as an early
  // failure for the others.
  it('counts nodes that waited at the same time, for a node that has waited', () => {
    const late = deaths(3, 90);
    expect(judgeStorm(late, config, now)).toMatchObject({ kind: 'proceed', failures: 0 });
    expect(judgeStorm(late, config, now, 95 * minute)).toMatchObject({ kind: 'hold', failures: 3 });
    expect(judgeStorm(late, config, now, 54 * minute)).toMatchObject({ kind: 'proceed', failures: 0 });
  });

  // The nodes that replace the first failures of a bad image are held with the rest. After an hour
  // they found only ends of nodes older than themselves, and terminated one after another.
  it('counts nodes of the generation before, for a node that replaced one of them and has waited', () => {
    const ofTheFirst = deaths(3, 80);
    expect(judgeStorm(ofTheFirst, config, now, 60 * minute)).toMatchObject({ kind: 'hold', failures: 3 });
    expect(judgeStorm(ofTheFirst, config, now, 30 * minute)).toMatchObject({ kind: 'proceed', failures: 0 });
  });

  // Nodes of a bad image, which never join, ended after the bound that counted the bootstrap's time
  // only. Their neighbours did not count them.
  it('counts a node that ended at the end of its time to join', () => {
    expect(judge(deaths(3, 26))).toMatchObject({ kind: 'hold', failures: 3 });
  });

  it('counts the nodes of the group with a smaller id, while they exist', () => {
    const there = [
      launch('i-1', now),
      launch('i-2', now),
      launch('i-3', now, false),
      launch('', now),
      launch('i-9', now),
    ];
    expect(turnOf(there, 'i-5')).toBe(2);
    expect(turnOf([...there, end('i-1', now)], 'i-5')).toBe(1);
    expect(turnOf([], 'i-5')).toBe(0);
  });

  it('waits when it cannot read the history: ignorance is no reason to terminate', async () => {
    for (const error of [new Unavailable('throttled'), new Refused('AccessDenied')]) {
      for (const verb of ['readMembership', 'readActivities']) {
        const { host, world } = setStage(config);
        world.joinGroup();
        world.calls.fails(verb, error);
        expect(await readStorm(host, config, signal)).toMatchObject({ kind: 'hold', failures: 0 });
      }
    }
    const { host, world } = setStage(config);
    world.calls.hangs('readMembership');
    expect(await world.clock.finish(readStorm(host, config, signal))).toMatchObject({ kind: 'hold' });
  });

  it('asks for the whole history after an empty answer, and holds when that is empty too', async () => {
    const { host, world } = setStage(config);
    world.joinGroup('web').activities.push(...deaths(3));
    let empty = 1;
    const readActivities: Host['cloud']['readActivities'] = async (...args) =>
      empty-- > 0 ? [] : host.cloud.readActivities(...args);
    const deaf = { ...host, cloud: { ...host.cloud, readActivities } };
    expect(await readStorm(deaf, config, signal)).toMatchObject({ kind: 'hold', failures: 3 });
    empty = Infinity;
    expect(await readStorm(deaf, config, signal)).toMatchObject({ kind: 'hold', failures: 0 });
  });

  it('takes a quiet history for an answer when the launch of the node is older', async () => {
    const { host, world } = setStage(config);
    const group = world.joinGroup('web');
    group.activities = [launch(world.identity.instanceId, host.clock.now() - 30 * 24 * 60 * minute)];
    expect(await world.clock.finish(readStorm(host, config, signal))).toEqual({ kind: 'proceed', failures: 0 });
  });

  // One of dozens of looks in a storm that lasted for hours ended a healthy node.
  it.each([
    ['terminations', 'hold', 75_000],
    ['terminations', 'proceed', Infinity],
  ])('counts a history without its %s only where it stays so: %s', async (_what, kind, ms) => {
    const { host, world } = setStage(config);
    const own = launch(world.identity.instanceId, host.clock.now() - minute);
    world.joinGroup('web').activities.push(own, ...deaths(3));
    const readActivities: Host['cloud']['readActivities'] = async (...args) =>
      host.clock.uptime() < ms ? [own] : host.cloud.readActivities(...args);
    const lying = { ...host, cloud: { ...host.cloud, readActivities } };
    expect(await world.clock.finish(readStorm(lying, config, signal))).toMatchObject({ kind });
  });

  // One empty answer took the node for one without a group, and ended it in the middle of a storm.
  it('holds when Auto Scaling knows no group of the node, and its tag names one', async () => {
    const { host, world } = setStage(config);
    world.instance.tags['aws:autoscaling:groupName'] = 'web';
    expect(await readStorm(host, config, signal)).toMatchObject({ kind: 'hold', failures: 0 });
  });

  it('does not hold a node without a group, because nothing launches a replacement', async () => {
    const { host, world } = setStage(config);
    expect(await world.clock.finish(readStorm(host, config, signal))).toEqual({ kind: 'proceed', failures: 0 });
  });

  it('reports in state, console and metrics that the node waits, and until when', async () => {
    const { host, world, boot, state } = setStage(config);
    await boot();
    const storm = { kind: 'hold', waitMs: 300_000, failures: 3, reason: 'three died', group: 'web' } as const;
    const began = host.clock.now();
    await world.clock.finish(hold(host, config, storm, signal));
    expect(host.clock.now()).toBe(began + 300_000);
    expect(state()).toMatchObject({ outcome: 'held', heldUntil: began + 300_000 });
    expect(world.machine.console.at(-1)).toContain('waiting 300 s instead of dying: three died');
    const dimensions = world.published[0]!.metrics.map((metric) => metric.dimensions);
    expect(dimensions).toEqual([{ InstanceId: world.identity.instanceId }, { AutoScalingGroupName: 'web' }]);
  });

  it('tells the team that the node waits, and waits no longer for that', async () => {
    const { host, world } = openFakeHost({ bus: 'default' });
    world.calls.hangs('putEvent');
    const began = host.clock.now();
    const storm = { kind: 'hold', waitMs: 300_000, failures: 3, reason: 'three died' } as const;
    await world.clock.finish(hold(host, config, storm, signal));
    expect(host.clock.now()).toBe(began + 300_000);
    const until = new Date(began + 300_000).toISOString();
    const [call] = world.calls.of('putEvent');
    expect(call?.args[1]).toMatchObject({ type: 'held', detail: { reason: 'three died', failures: 3, until } });
  });

  it('waits no longer when the wall clock is set back while the metric is published', async () => {
    const { host, world } = setStage(config);
    world.calls.delays('publish', 5_000);
    const began = host.clock.uptime();
    const storm = { kind: 'hold', waitMs: 300_000, failures: 3, reason: 'three died' } as const;
    world.clock.schedule(2_000, () => world.clock.jump(-30 * 24 * 3_600_000));
    await world.clock.finish(hold(host, config, storm, signal));
    expect(host.clock.uptime()).toBe(began + 300_000);
  });

  it('waits no longer when the metric cannot be published', async () => {
    const { host, world } = setStage(config);
    world.calls.hangs('publish');
    const began = host.clock.now();
    const storm = { kind: 'hold', waitMs: 300_000, failures: 3, reason: 'three died' } as const;
    await world.clock.finish(hold(host, config, storm, signal));
    expect(host.clock.now()).toBe(began + 300_000);
    expect(world.machine.files.has(paths.bootstrap)).toBe(false);
  });
});
