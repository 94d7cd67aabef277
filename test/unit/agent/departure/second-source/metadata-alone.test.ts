/**
 * One source alone lies, flips, is stale or is silent. The node lives, and nothing happens to it
 * that ACTIVE does not undo. Two sources that agree still terminate it.
 */

import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../../../../core/errors.ts';
import { configOf, setStage } from '../../stage.ts';
import { minute, hour, deadly, denied, inService, busy } from './in-service.ts';

describe('a target state that only the metadata service reports', () => {
  // The target state was Terminated for 2 s, then InService. Auto Scaling reported InService all
  // the time: the idle node terminated itself.
  it.each([
    ['idle', 2_000],
    ['busy', 2_000],
    ['idle', 40_000],
    ['busy', 40_000],
    ['busy', 2 * hour],
  ])('does no harm to an %s node when it is withdrawn after %d ms', async (how, ms) => {
    const { stage, world, run, agent, harm } = await inService();
    if (how === 'busy') busy(stage);
    world.metadata.targetState = 'Terminated';
    await run(ms);
    world.metadata.targetState = 'InService';
    await run(minute);
    expect(harm()).toEqual([]);
    await run(2 * hour);
    expect(harm()).toEqual([]);
    await agent.stop();
  });

  // The disk was full all the time. The file of the departure did not exist, so there seemed to be
  // nothing to undo: the node stayed DRAINING.
  it('is undone when a full disk kept the departure from being written', async () => {
    const { stage, world, run, agent, harm } = await inService();
    world.calls.fails('writeText', new Error('ENOSPC: no space left on device'));
    world.metadata.targetState = 'Terminated';
    await run(minute);
    expect(stage.own.status).toBe('DRAINING');
    world.metadata.targetState = 'InService';
    await run(minute);
    expect(harm()).toEqual([]);
    await agent.stop();
  });

  // The node waited for a confirmation, sent no heartbeat, and its launch hook timed out.
  it.each([
    ['that has not joined yet', undefined],
    ['whose role may not read its state', denied],
  ])('does not let the launch hook of a node time out %s', async (_what, refusal) => {
    const stage = setStage(configOf());
    const { world, group } = stage;
    if (refusal !== undefined) {
      world.calls.fails('readMembership', refusal);
      world.metadata.tags = { 'aws:autoscaling:groupName': 'web' };
    }
    world.metadata.targetState = 'Terminated';
    group.begin('launch');
    const agent = stage.agent();
    await world.clock.run(20 * minute);
    world.calls.heals();
    world.metadata.targetState = 'InService';
    await world.clock.run(5 * minute);
    expect(group.hooks[0]!.ended).toBe('CONTINUE');
    expect(stage.status().join.state).toBe('joined');
    await agent.stop();
  });

  it('sends no heartbeat for the launch hook of a node that its group terminates', async () => {
    const stage = setStage(configOf());
    const { world, group } = stage;
    world.metadata.targetState = 'Terminated';
    group.begin('terminate');
    const agent = stage.agent();
    await world.clock.run(5 * minute);
    expect(world.calls.of('heartbeat').filter(({ args }) => args[1] === 'launch')).toEqual([]);
    expect(group.hooks.find(({ name }) => name === 'terminate')?.ended).toBe('CONTINUE');
    await agent.stop();
  });

  // The next agent went on with the departure. A later false answer of Auto Scaling confirmed it.
  it('is not remembered after a restart, although ECS did not let the node become ACTIVE', async () => {
    const { stage, world, run, agent, harm } = await inService();
    world.calls.fails('activate', denied);
    world.metadata.targetState = 'Terminated';
    await run(minute);
    world.metadata.targetState = 'InService';
    await run(5 * minute);
    await agent.stop();
    const next = stage.agent(world.restart());
    world.calls.fails('readTargetState', new Unavailable('metadata is silent'));
    stage.group.lifecycleState = 'Terminating:Wait';
    await run(5 * minute);
    expect(stage.deeds().filter((deed) => deed !== 'drain' && deed !== 'activate')).toEqual([]);
    [stage.group.lifecycleState, world.metadata.targetState] = ['InService', 'InService'];
    world.calls.heals();
    await run(5 * minute);
    expect(harm()).toEqual([]);
    await next.stop();
  });

  // The state of a node on its way into the pool confirmed the lie that it is terminated.
  it('is not confirmed by the launch into a warm pool', async () => {
    const { stage, world, run, agent } = await inService();
    world.metadata.targetState = 'Terminated';
    stage.group.lifecycleState = 'Warmed:Pending:Wait';
    await run(hour);
    expect(stage.deeds()).toEqual(['drain']);
    await agent.stop();
  });

  it('is followed once the group confirms it, also after Auto Scaling was silent for half an hour', async () => {
    const { stage, world, run } = await inService();
    for (const verb of ['readMembership', 'heartbeat', 'readHooks', 'completeHook'])
      world.calls.fails(verb, new Unavailable('throttled'));
    world.metadata.targetState = 'Terminated';
    stage.group.begin('terminate');
    await run(4 * minute);
    expect(stage.deeds()).toEqual(['drain']);
    world.calls.heals();
    await run(5 * minute);
    expect(stage.group.hooks.find(({ name }) => name === 'terminate')?.ended).toBe('CONTINUE');
    expect(stage.deeds()).toContain('deregisterTarget');
  });

  it('is followed by a role that may not read the state, because its terminate hook waits', async () => {
    const { stage, world, run } = await inService();
    world.metadata.tags = { 'aws:autoscaling:groupName': 'web' };
    world.calls.fails('readMembership', denied);
    world.metadata.targetState = 'Terminated';
    await run(2 * minute);
    expect(stage.deeds()).toEqual(['drain']);
    stage.group.begin('terminate');
    await run(5 * minute);
    expect(stage.group.hooks.find(({ name }) => name === 'terminate')?.ended).toBe('CONTINUE');
  });

  it('brings no tasks onto an ending node when it flips back while the group continues', async () => {
    const { stage, world, run } = await inService();
    busy(stage);
    world.metadata.targetState = 'Terminated';
    stage.group.begin('terminate');
    await run(5_000);
    world.metadata.targetState = 'InService';
    await run(5 * minute);
    expect(stage.deeds()).not.toContain('activate');
    expect(stage.group.hooks.find(({ name }) => name === 'terminate')?.ended).toBe('CONTINUE');
  });
});

// No source took the word back, and the node stayed DRAINING for as long as the silence lasted.
describe.each(['scale-in', 'spot'] as const)('one word of a metadata service that is silent since (%s)', (cause) => {
  const silence = new Unavailable('no answer');
  const verb = cause === 'spot' ? 'readSpotNotice' : 'readTargetState';
  const second = cause === 'spot' ? 'readSpotStatus' : 'readMembership';
  // With load balancers, a node whose scale-in is not confirmed drains only after 15 s.
  const soonMs = cause === 'spot' ? 3_000 : 20_000;
  const announced = async () => {
    const on = await inService();
    const announce = () => {
      if (cause === 'scale-in') on.world.metadata.targetState = 'Terminated';
      else on.world.metadata.spotNotice = { action: 'terminate', at: on.stage.host.clock.now() + 120_000 };
    };
    on.world.instance.spotStatus = 'fulfilled';
    announce();
    await on.run(soonMs);
    expect(on.stage.own.status).toBe('DRAINING');
    return { ...on, announce };
  };

  it('is undone once the second source has denied it for a quarter of an hour', async () => {
    const { world, run, agent, harm } = await announced();
    world.calls.fails(verb, silence);
    await run(10 * minute);
    expect(harm()).toEqual(['DRAINING']);
    await run(7 * minute);
    expect(harm()).toEqual([]);
    expect(world.calls.of(second).length).toBeLessThan(100);
    await agent.stop();
  });

  // The denials that must follow a lost answer took longer than the gap that began the time anew.
  it('is undone although two answers of the second source are lost every ten minutes', async () => {
    const { world, run, agent, harm } = await announced();
    world.calls.fails(verb, silence);
    for (let minutes = 0; minutes < 40; minutes++) {
      if (minutes % 10 === 1) world.calls.hangs(second, 2);
      await run(minute);
    }
    expect(harm()).toEqual([]);
    await agent.stop();
  });

  // The time ran only while three denials came in a row, and lost answers began it anew for hours.
  it('is undone although the second source loses an answer a minute, four minutes of five', async () => {
    const { world, run, agent, harm } = await announced();
    world.calls.fails(verb, silence);
    for (let minutes = 0; minutes < 40; minutes++) {
      if (minutes % 5 > 0) world.calls.fails(second, silence, 1);
      await run(minute);
    }
    expect(harm()).toEqual([]);
    await agent.stop();
  });

  it('is not undone by the time in which the second source is silent', async () => {
    const { world, run, agent, harm } = await announced();
    world.calls.fails(verb, silence);
    await run(5 * minute);
    world.calls.fails(second, silence);
    await run(11 * minute);
    world.calls.heals();
    world.calls.fails(verb, silence);
    await run(13 * minute);
    expect(harm()).toEqual(['DRAINING']);
    await run(4 * minute);
    expect(harm()).toEqual([]);
    await agent.stop();
  });

  it('drains the node at once when it is said again afterwards, and counts when it is true', async () => {
    const { stage, world, run, announce } = await announced();
    world.calls.fails(verb, silence);
    await run(20 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    world.calls.heals();
    announce();
    await run(soonMs);
    expect(stage.own.status).toBe('DRAINING');
    world.instance.spotStatus = 'marked-for-termination';
    stage.group.begin('terminate');
    await run(80_000);
    expect(stage.deeds()).toContain('deregisterTarget');
  });

  it('counts when the second source confirms it after ten minutes', async () => {
    const { stage, world, run } = await announced();
    world.calls.fails(verb, silence);
    await run(10 * minute);
    world.instance.spotStatus = 'marked-for-termination';
    stage.group.begin('terminate');
    await run(5 * minute);
    expect(stage.deeds()).toContain('deregisterTarget');
    expect(stage.deeds()).not.toContain('activate');
  });

  // The next agent asked nobody, and the node stayed DRAINING.
  it.each(['restart', 'reboot'] as const)('is undone after a %s, once the second source has denied it', async (how) => {
    const { world, run, harm, stage } = await announced();
    world.calls.fails(verb, silence);
    await run(5 * minute);
    const next = stage.agent(world[how]());
    await run(10 * minute);
    // A machine that boots after its end has outlived the notice.
    expect(harm()).toEqual(cause === 'spot' && how === 'reboot' ? [] : ['DRAINING']);
    await run(7 * minute);
    expect(harm()).toEqual([]);
    await next.stop();
  });

  it('keeps the node drained while the second source is silent too', async () => {
    const { stage, world, run, agent } = await announced();
    for (const each of [verb, second]) world.calls.fails(each, silence);
    await run(30 * minute);
    expect(stage.deeds()).toEqual(['drain']);
    await agent.stop();
  });

  it('keeps the node drained when it comes again now and then', async () => {
    const { stage, world, run, agent } = await announced();
    for (let minutes = 0; minutes < 40; minutes += 10) {
      world.calls.fails(verb, silence);
      await run(9 * minute);
      world.calls.heals();
      await run(minute);
    }
    expect(stage.deeds()).toEqual(['drain']);
    await agent.stop();
  });
});

// Metadata said InService for ten minutes. The ECS agent is silent in a pool, so the node ended.
it('a node in a warm pool that metadata does not show is not given up', async () => {
  const stage = setStage();
  stage.group.lifecycleState = 'Warmed:Running';
  stage.world.metadata.targetState = 'InService';
  const local = stage.world.localAgent;
  [stage.world.cluster.instances, stage.world.localAgent] = [[], undefined];
  const agent = stage.agent();
  await stage.world.clock.run(2 * hour);
  expect(stage.deeds()).toEqual([]);
  [stage.world.cluster.instances, stage.world.localAgent] = [[stage.own], local];
  stage.group.begin('launch');
  await stage.world.clock.run(5 * minute);
  expect(stage.status()?.join.state).toBe('joined');
  await agent.stop();
});

// It left the pool a moment later. That its group launched it confirmed that it had not joined, and
// a healthy node ended itself.
it.each([
  [[], 1_000],
  [[], 20_000],
  [[{ url: 'http://127.0.0.1/' }], 1_000],
])(
  'a node that leaves its warm pool just after it was given up is kept (checks: %j, connected: %d)',
  async (checks, ms) => {
    const stage = setStage(configOf({ join: { checks } }));
    const { world, group, own } = stage;
    world.machine.probes.set('http://127.0.0.1/', 200);
    group.lifecycleState = 'Warmed:Running';
    world.metadata.targetState = 'InService';
    const local = world.localAgent;
    [world.cluster.instances, world.localAgent] = [[], undefined];
    const agent = stage.agent();
    while (stage.departure() === null) await world.clock.run(500);
    group.begin('launch');
    await world.clock.run(ms);
    [world.cluster.instances, world.localAgent] = [[own], local];
    await world.clock.run(10 * minute);
    expect(stage.status().join.state).toBe('joined');
    expect(own.status).toBe('ACTIVE');
    expect(stage.deeds().filter((deed) => deadly.includes(deed))).toEqual(['completeHook']);
    await agent.stop();
  },
);
