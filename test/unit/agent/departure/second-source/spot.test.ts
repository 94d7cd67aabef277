import { describe, expect, it } from 'vitest';
import { watchSpot } from '../../../../../agent/watchers/spot.ts';
import { Unavailable } from '../../../../../core/errors.ts';
import { paths, renderState } from '../../../../../core/state/state.ts';
import { configOf, setStage, type Stage } from '../../stage.ts';
import { minute, denied, inService, busy } from './in-service.ts';

describe('a spot notice', () => {
  const notice = (stage: Stage) =>
    void (stage.world.metadata.spotNotice = { action: 'terminate', at: stage.host.clock.now() + 120_000 });

  it.each([
    ['idle', 2_000],
    ['busy', 2_000],
    ['busy', 40_000],
  ])('does no harm to an %s node when EC2 does not know it and it is withdrawn after %d ms', async (how, ms) => {
    const { stage, world, run, agent, harm } = await inService();
    if (how === 'busy') busy(stage);
    world.instance.spotStatus = 'fulfilled';
    notice(stage);
    await run(ms);
    world.metadata.spotNotice = undefined;
    await run(minute);
    expect(harm()).toEqual([]);
    await agent.stop();
  });

  // The notice alone counted in its last 50 s, although EC2 answered that it keeps the instance.
  it('stops no task when EC2 denies it until its end', async () => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
    busy(stage);
    world.instance.spotStatus = 'fulfilled';
    notice(stage);
    await run(10 * minute);
    expect(stage.deeds()).toEqual(['drain']);
    await agent.stop();
  });

  // An on-demand node whose life cycle the metadata service names wrongly has no spot request. The
  // notice alone stopped its tasks.
  it('stops no task when EC2 names no spot request all the time', async () => {
    const { stage, run, agent } = await inService({ leave: { drainSeconds: 900 } });
    busy(stage);
    stage.host.cloud.readSpotStatus = async () => undefined;
    notice(stage);
    await run(10 * minute);
    expect(stage.deeds()).toEqual(['drain']);
    await agent.stop();
  });

  it('stops its tasks as soon as EC2 confirms it, after a minute without the spot request', async () => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
    busy(stage);
    const until = stage.host.clock.uptime() + minute;
    const { readSpotStatus } = stage.host.cloud;
    stage.host.cloud.readSpotStatus = async (signal) =>
      stage.host.clock.uptime() < until ? undefined : readSpotStatus(signal);
    world.instance.spotStatus = 'marked-for-termination';
    notice(stage);
    await run(1.5 * minute);
    expect(stage.deeds()).toContain('stopTask');
    await agent.stop();
  });

  // A denial stood, and one lost answer in the last 50 s made the notice count again.
  it('stops no task when EC2 has denied it and is silent afterwards', async () => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
    busy(stage);
    world.instance.spotStatus = 'fulfilled';
    notice(stage);
    await run(45_000);
    world.calls.fails('readSpotStatus', new Unavailable('the answer is lost'));
    await run(10 * minute);
    expect(stage.deeds()).toEqual(['drain']);
    await agent.stop();
  });

  // The denial was lost with the agent's memory: the next agent took one lost answer for silence
  // and left the load balancers.
  it('stops no task when EC2 has denied it to an agent that was restarted', async () => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
    busy(stage);
    world.instance.spotStatus = 'fulfilled';
    notice(stage);
    await run(45_000);
    await agent.stop();
    world.calls.fails('readSpotStatus', new Unavailable('the answer is lost'));
    const next = stage.agent();
    await run(10 * minute);
    expect(stage.deeds()).toEqual(['drain']);
    await next.stop();
  });

  // The polls were late, so the only question to EC2 came 40 s before the end; its answer was lost.
  it('stops no task when one answer of EC2 is lost shortly before the end', async () => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
    busy(stage);
    world.instance.spotStatus = 'fulfilled';
    world.metadata.spotNotice = { action: 'terminate', at: stage.host.clock.now() + 52_000 };
    await run(1_000);
    world.calls.fails('readSpotStatus', new Unavailable('the answer is lost'), 2);
    await run(10 * minute);
    expect(stage.deeds()).toEqual(['drain']);
    await agent.stop();
  });

  // The notice was read before the three tries, which took seven seconds, and not again after them.
  it('stops no task when it is withdrawn while the node asks a silent EC2 for the last time', async () => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
    busy(stage);
    world.calls.hangs('readSpotStatus');
    notice(stage);
    world.calls.onCall = ({ verb, at }) => {
      if (verb === 'readSpotStatus' && at - began > 45_000) world.metadata.spotNotice = undefined;
    };
    const began = stage.host.clock.uptime();
    await run(10 * minute);
    expect(stage.deeds()).toEqual(['drain', 'activate']);
    await agent.stop();
  });

  // Seed 129459114: the process stood still during its last question to EC2, and the node left its
  // load balancers for a false notice half a minute after that notice's end.
  it('stops no task when it is still listed after its end, and EC2 is silent', async () => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
    busy(stage);
    world.calls.hangs('readSpotStatus');
    notice(stage);
    await run(45_000);
    await agent.stop();
    await run(2 * minute);
    const next = stage.agent(world.restart());
    await run(10 * minute);
    expect(stage.deeds()).toEqual(['drain']);
    await next.stop();
  });

  it('does no harm when it flips for two seconds, although EC2 confirms it meanwhile', async () => {
    const { stage, world, run, agent, harm } = await inService();
    notice(stage);
    await run(2_000);
    world.metadata.spotNotice = undefined;
    await run(minute);
    expect(harm()).toEqual([]);
    await agent.stop();
  });

  // It stopped the joining, and a drain by hand that took over did not resume it: nothing completed
  // the launch hook, which timed out and ended the node.
  it('leaves no launch hook to its timeout when a person drains the node and it is withdrawn', async () => {
    const { stage, world, run, agent } = await inService({}, (prepared) => {
      prepared.group.begin('launch');
      prepared.own.agentConnected = false;
    });
    notice(stage);
    await run(5_000);
    const { instanceId } = world.identity;
    const request = { instanceId, id: 'by-hand', action: 'leave', reason: 'by hand', terminate: false, at: 0 };
    world.machine.files.set(paths.request, renderState(request));
    await run(5_000);
    world.metadata.spotNotice = undefined;
    await run(minute);
    stage.own.agentConnected = true;
    await run(5 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'operator', ending: 'remain' });
    expect(stage.group.hooks.find(({ name }) => name === 'launch')?.ended).toBe('CONTINUE');
    await agent.stop();
  });

  it('starts one departure, two minutes from the first sight, when its time moves at every read', async () => {
    const { stage, world, run, agent } = await inService({ spot: { pollSeconds: 1 }, leave: { drainSeconds: 900 } });
    busy(stage);
    const began = stage.host.clock.uptime();
    for (let second = 0; second < 120; second++) {
      notice(stage);
      await run(1_000);
    }
    expect(world.log.filter(({ message }) => message === 'leaving')).toHaveLength(1);
    expect(stage.departure().uptimes!.deadline - began).toBeLessThanOrEqual(120_000);
    expect(world.calls.of('stopTask')[0]!.at - began).toBeLessThanOrEqual(90_000);
    await agent.stop();
  });

  it('takes the node out of its load balancers within fifteen seconds once EC2 confirms it', async () => {
    const { stage, world, run, agent, hooks } = await inService();
    notice(stage);
    const began = stage.host.clock.uptime();
    await run(100_000);
    expect(world.calls.of('drain')[0]!.at - began).toBeLessThan(3_000);
    expect(world.calls.of('deregisterTarget')[0]!.at - began).toBeLessThan(15_000);
    expect(hooks).toContain('leaving');
    await agent.stop();
  });

  it.each([denied, new Unavailable('throttled')])(
    'without confirmation (%s) still gives the tasks their time to stop before the end',
    async (error) => {
      const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
      busy(stage);
      world.calls.fails('readSpotStatus', error);
      notice(stage);
      const began = stage.host.clock.uptime();
      await run(45_000);
      expect(stage.deeds()).toEqual(['drain']);
      await run(60_000);
      const [stopped] = world.calls.of('stopTask');
      expect(stopped!.at - began).toBeGreaterThan(45_000);
      expect(stopped!.at - began).toBeLessThanOrEqual(70_000);
      expect(world.cluster.tasks.every(({ lastStatus }) => lastStatus === 'STOPPED')).toBe(true);
      await agent.stop();
    },
  );

  // EC2 sends the recommendation minutes before the notice, and the time since then is not the
  // notice's own.
  it('gives the tasks their time to stop after a rebalance recommendation, when EC2 is silent', async () => {
    const { stage, world, run, agent } = await inService({
      rebalance: { action: 'drain' },
      leave: { drainSeconds: 900 },
    });
    busy(stage);
    world.metadata.rebalanceNotice = '2030-01-01T00:01:00Z';
    await run(5 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'rebalance', phase: 'tasks' });
    world.calls.fails('readSpotStatus', new Unavailable('throttled'));
    notice(stage);
    await run(105_000);
    expect(stage.departure()).toMatchObject({ cause: 'spot' });
    expect(world.cluster.tasks.every(({ lastStatus }) => lastStatus === 'STOPPED')).toBe(true);
    await agent.stop();
  });

  // Four minutes slow: no StopTask, killed. Four minutes fast: StopTask at once, gone after 0.1 s.
  it.each([-240_000, 240_000])('is measured by uptime when the wall clock is %d ms off', async (ms) => {
    for (const told of [true, false]) {
      const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
      busy(stage);
      if (!told) world.metadata.now = undefined;
      world.metadata.spotNotice = { action: 'terminate', at: stage.host.clock.now() + 120_000 };
      world.clock.jump(ms);
      const began = stage.host.clock.uptime();
      await run(120_000);
      const [stopped] = world.calls.of('stopTask');
      expect(stopped!.at - began).toBeGreaterThan(50_000);
      expect(stopped!.at - began).toBeLessThan(80_000);
      expect(world.cluster.tasks.every(({ lastStatus }) => lastStatus === 'STOPPED')).toBe(true);
      await agent.stop();
    }
  });

  // StopTask came 50 s early: the time left followed from one wrong `Date`, and no later one
  // lengthened it.
  it.each([
    ['is 90 s ahead at the first look', 1, 90_000],
    ['is 90 s ahead at ten looks', 10, 90_000],
    ['is an hour ahead at the first look', 1, 60 * minute],
    ['is right (control)', 0, 0],
  ])("gives the tasks their time when the metadata service's clock %s", async (_what, times, aheadMs) => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
    busy(stage);
    world.instance.spotStatus = 'marked-for-termination';
    const { now, uptime } = stage.host.clock;
    const began = uptime();
    let left = times;
    world.metadata.now = () => now() + (left-- > 0 ? aheadMs : 0);
    notice(stage);
    await run(120_000);
    const [stopped] = world.calls.of('stopTask');
    expect(stopped!.at - began).toBeGreaterThan(50_000);
    expect(stopped!.at - began).toBeLessThan(80_000);
    expect(world.cluster.tasks.every(({ lastStatus }) => lastStatus === 'STOPPED')).toBe(true);
    await agent.stop();
  });

  it("has its time by the metadata service's clock after 15 s, although the wall clock is slow", async () => {
    const { host, world } = setStage();
    const { check } = watchSpot(configOf());
    const look = async () => Reflect.get(await check(host, new AbortController().signal), 'deadlineUptime');
    const began = host.clock.uptime();
    world.metadata.spotNotice = { action: 'terminate', at: host.clock.now() + 60_000 };
    world.clock.jump(-240_000);
    expect(await look()).toBe(began + 100_000);
    await world.clock.run(15_000);
    expect(await look()).toBe(began + 40_000);
    // One wrong answer later shortens nothing either.
    world.metadata.now = () => host.clock.now() + 280_000;
    expect(await look()).toBe(host.clock.uptime() + 100_000);
  });
});
