/**
 * One source alone lies, flips, is stale or is silent. The node lives, and nothing happens to it
 * that ACTIVE does not undo. Two sources that agree still terminate it.
 */

import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runDeparture } from '../../../../agent/departure/leave.ts';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { paths, renderState } from '../../../../core/state/state.ts';
import { someBalancer } from '../../../fakes/cloud/balancers.ts';
import { configOf, lazily, never, setStage, someOrder, type Stage } from '../stage.ts';

const minute = 60_000;
const hour = 60 * minute;
const targetGroup = 'arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef';
const denied = new Refused('not authorized', { code: 'AccessDenied' });

const deadly = ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff', 'completeHook'];
const undoable = ['drain', 'activate', 'queueToLeave', 'unqueue'];

/**
 * In service with load balancers, a leaving hook, and a drain so short that tasks would be stopped
 * at once.
 */
async function inService(more: Record<string, unknown> = {}, prepare: (stage: Stage) => void = () => {}) {
  const leave = { targetGroups: [targetGroup], drainSeconds: 10, ...(more['leave'] as object) };
  const stage = setStage(configOf({ ...more, leave }));
  stage.world.balancers.targetGroups.set(targetGroup, someBalancer(1_000));
  const hooks: string[] = [];
  for (const occasion of ['leaving', 'left']) {
    const path = `/etc/ecs-node/hooks.d/${occasion}/10-tell`;
    stage.world.machine.files.set(path, '#!/bin/sh\n');
    stage.world.machine.programs.set(path, async () => {
      hooks.push(occasion);
      return { code: 0, tail: '' };
    });
  }
  prepare(stage);
  const agent = stage.agent();
  const run = (ms: number) => stage.world.clock.run(ms);
  await run(minute);
  stage.world.calls.list.length = 0;
  /** The actions on the node that ACTIVE does not undo, or has not undone. */
  const harm = () => [
    ...(stage.world.instance.state === 'running' ? [] : ['ended']),
    ...(stage.own.status === 'ACTIVE' ? [] : [stage.own.status]),
    ...stage.deeds().filter((deed) => !undoable.includes(deed)),
    ...hooks,
  ];
  return { stage, world: stage.world, agent, run, hooks, harm };
}

const busy = ({ world, own }: Stage) =>
  void world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });

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
});

describe('scheduled maintenance', () => {
  const event = (code: string, notBefore: number) => ({
    id: 'instance-event-1',
    code,
    state: 'active' as const,
    notBefore,
    description: '',
  });

  it('drains and terminates no node when EC2 does not list it', async () => {
    const { stage, world, run, agent, harm } = await inService({ maintenance: { pollSeconds: 10 } });
    world.instance.events = [];
    world.metadata.maintenance = [event('instance-retirement', stage.host.clock.now() + hour)];
    await run(hour);
    expect(harm()).toEqual([]);
    world.instance.events = [{ id: 'instance-event-1', code: 'instance-retirement' }];
    await run(5 * minute);
    expect(stage.deeds()).toContain('terminateInGroup');
    await agent.stop();
  });

  // The event was true, and only the clock of the metadata service was wrong.
  it('two weeks away terminates no node because metadata names a time fifteen days ahead', async () => {
    const { stage, world, run, agent, harm } = await inService({ maintenance: { pollSeconds: 10 } });
    const day = 24 * hour;
    world.instance.now = stage.host.clock.now;
    world.metadata.now = () => stage.host.clock.now() + 15 * day;
    world.metadata.maintenance = [event('instance-reboot', stage.host.clock.now() + 14 * day)];
    await run(hour);
    expect(harm()).toEqual([]);
    world.metadata.now = stage.host.clock.now;
    world.metadata.maintenance = [event('instance-reboot', stage.host.clock.now() + 0.4 * hour)];
    await run(10 * minute);
    expect(stage.deeds()).toContain('terminateInGroup');
    await agent.stop();
  });

  it('two weeks away terminates no node when the local clock jumps by fifteen days', async () => {
    const { stage, world, run, agent, harm } = await inService({ maintenance: { pollSeconds: 10 } });
    const day = 24 * hour;
    world.metadata.maintenance = [event('instance-reboot', stage.host.clock.now() + 14 * day)];
    world.clock.jump(15 * day);
    await run(hour);
    expect(harm()).toEqual([]);
    await agent.stop();
  });
});

// The departure was called off once, and never asked for again when the permission was there.
it('a full disk whose second source is refused costs no task, is told, and leaves when a person has mended it', async () => {
  const { stage, world, run } = await inService();
  world.calls.fails('readContainerInstance', denied);
  stage.fillDisk(97);
  await run(2 * hour);
  expect(stage.deeds().filter((deed) => deed === 'drain').length).toBeLessThanOrEqual(2);
  expect(stage.status()?.watchers['disk']?.error).toContain('asks again later');
  expect(stage.deeds()).not.toContain('terminateInGroup');
  world.calls.heals();
  await run(20 * minute);
  expect(stage.deeds()).toContain('terminateInGroup');
});

describe('a node that is held', () => {
  const troubles: [string, (stage: Stage) => void][] = [
    ['disk', (stage) => stage.fillDisk(97)],
    [
      'ecs-agent',
      (stage) => {
        stage.own.agentConnected = false;
        stage.world.localAgent = undefined;
      },
    ],
    [
      'maintenance',
      (stage) =>
        void (stage.world.metadata.maintenance = [
          { id: 'e-1', code: 'instance-retirement', state: 'active', description: '' },
        ]),
    ],
  ];
  const holds: [string, (stage: Stage) => void][] = [
    [
      'Standby',
      ({ world, group }) => {
        world.metadata.targetState = 'Standby';
        group.lifecycleState = 'Standby';
      },
    ],
    [
      'Detached',
      ({ world }) => {
        world.metadata.targetState = 'Detached';
        world.group = undefined;
      },
    ],
    ['a shown tag', ({ world }) => void (world.metadata.tags = { 'ecs-node:keep': '' })],
    ['a tag', ({ world }) => void (world.instance.tags['ecs-node:keep'] = 'yes')],
  ];
  // A person stopped ecs to investigate, and the node was terminated after five minutes.
  it.each(troubles.flatMap(([cause, harm]) => holds.map(([how, hold]) => [how, cause, hold, harm] as const)))(
    'by %s is neither drained, restarted nor ended for: %s',
    async (_how, _cause, hold, harm) => {
      const stage = setStage(lazily());
      const agent = stage.agent();
      await stage.world.clock.run(minute);
      stage.world.calls.list.length = 0;
      hold(stage);
      harm(stage);
      await stage.world.clock.run(2 * hour);
      expect(stage.own.status).toBe('ACTIVE');
      expect(stage.deeds()).toEqual([]);
      expect(stage.world.log.some(({ message }) => message.startsWith('left alone'))).toBe(true);
      await agent.stop();
    },
  );
});

describe('a node whose role may not read its tags', () => {
  const refuse = ({ world }: Stage) => world.calls.fails('readOwnTags', denied);

  // A person had tagged the node to investigate, and it was terminated without a word.
  it('stays when it would end itself, says so, and leaves once it may read them', async () => {
    const { stage, world, run } = await inService({ disk: { checkSeconds: 10 } }, refuse);
    stage.fillDisk(97);
    await run(hour);
    expect(stage.deeds().filter((deed) => deadly.includes(deed))).toEqual([]);
    expect(JSON.stringify(world.log)).toContain('allow ec2:DescribeTags');
    expect(stage.status().watchers['disk']?.error).toContain('allow ec2:DescribeTags');
    world.calls.heals('readOwnTags');
    await run(hour);
    expect(stage.deeds()).toContain('terminateInGroup');
  });

  it('still restarts its ECS agent', async () => {
    const { stage, world, run, agent } = await inService({}, refuse);
    stage.own.agentConnected = false;
    world.localAgent = undefined;
    await run(hour);
    expect(world.machine.restarted.length).toBeGreaterThan(0);
    expect(stage.deeds().filter((deed) => deadly.includes(deed))).toEqual([]);
    await agent.stop();
  });

  it('still leaves for a scale-in and for a person', async () => {
    for (const cause of ['scale-in', 'operator'] as const) {
      const { stage, world, run } = await inService({}, refuse);
      if (cause === 'operator') stage.agrees({ cause, key: 'leave-1' });
      else {
        world.metadata.targetState = 'Terminated';
        stage.group.lifecycleState = 'Terminating:Wait';
      }
      await run(10 * minute);
      expect(stage.own.status).not.toBe('ACTIVE');
    }
  });
});

describe('a departure that is denied', () => {
  it('is undone when the ECS agent is connected again', async () => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 1800 } });
    busy(stage);
    const local = world.localAgent;
    stage.own.agentConnected = false;
    world.localAgent = undefined;
    await run(25 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'ecs-agent' });
    stage.own.agentConnected = true;
    world.localAgent = local;
    await run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.deeds().filter((deed) => deadly.includes(deed))).toEqual([]);
    await agent.stop();
  });

  // Any process may answer on port 51678: this one named another cluster.
  it('terminates no node when only the introspection port says that the node is in another cluster', async () => {
    const stage = setStage(configOf());
    stage.world.localAgent = { cluster: 'elsewhere', containerInstanceArn: 'arn:x/elsewhere/1', version: '1' };
    const agent = stage.agent();
    await stage.world.clock.run(10 * minute);
    expect(stage.world.instance.state).toBe('running');
    expect(stage.deeds().filter((deed) => deadly.includes(deed) && deed !== 'completeHook')).toEqual([]);
    await agent.stop();
  });

  // Seed 89156637: the process stood still for half a minute, and the next denial drained the node.
  it('drains no node, however slowly the second source denies its own reason', async () => {
    const stage = setStage(configOf({ leave: { targetGroups: [targetGroup] } }));
    stage.world.balancers.targetGroups.set(targetGroup, someBalancer(1_000));
    const { world, host } = stage;
    const now = host.clock.now();
    const departure = {
      instanceId: world.identity.instanceId,
      cause: 'ecs-agent',
      reason: 'the ECS agent is not connected',
      startedAt: now,
      deadline: now + hour,
      ending: 'terminate',
      phase: 'announce',
      entered: { announce: now },
      blockers: [],
      troubles: [],
      bootId: world.machine.bootId,
    };
    world.machine.files.set(paths.departure, renderState(departure));
    world.calls.delays('readContainerInstance', 20_000);
    const agent = stage.agent();
    await world.clock.run(10 * minute);
    expect(stage.departure().undoneAt).toBeDefined();
    expect(world.calls.of('drain')).toEqual([]);
    await agent.stop();
  });

  it('is undone after an update in place when version 0.1.0 began it', async () => {
    const stage = setStage();
    const now = stage.host.clock.now();
    const bootId = stage.world.machine.bootId;
    stage.own.status = 'DRAINING';
    stage.world.machine.files.set(
      paths.departure,
      renderState({
        instanceId: stage.world.identity.instanceId,
        cause: 'scale-in',
        reason: 'Auto Scaling terminates this instance',
        key: 'target:Terminated',
        startedAt: now - 5_000,
        deadline: now + hour,
        ending: 'await',
        phase: 'tasks',
        entered: { announce: now - 5_000, drain: now - 4_000, tasks: now - 3_000 },
        drainedAt: now - 4_000,
        blockers: [],
        troubles: [],
        bootId,
      }),
    );
    const agent = stage.agent();
    await stage.world.clock.run(2 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.departure().undoneAt).toBeDefined();
    expect(stage.deregistered).toEqual([]);
    await agent.stop();
  });
});

describe('a second source that agreed and is silent right before the termination', () => {
  it('keeps the node running until it answers again', async () => {
    const { host, world, config, agrees, deeds } = setStage();
    agrees();
    const deregister = async () => world.calls.fails('readContainerInstance', new Unavailable('throttled'));
    void runDeparture(host, config, someOrder(), { deregister }, never).catch(() => {});
    await world.clock.run(hour);
    expect(world.instance.state).toBe('running');
    expect(deeds().filter((deed) => deadly.includes(deed))).toEqual([]);
    world.calls.heals();
    await world.clock.run(5 * minute);
    expect(deeds()).toContain('terminateInGroup');
  });
});

describe('a second source that the role may not read', () => {
  it('ends no node for its own reason: its bootstrap ends as refused, and no departure is remembered', async () => {
    const stage = setStage();
    [stage.world.cluster.instances, stage.world.localAgent, stage.world.group] = [[], undefined, undefined];
    stage.world.calls.fails('readContainerInstance', denied);
    await expect(stage.leaves({ cause: 'bootstrap-failed', reason: 'no registrar' })).rejects.toThrow(Refused);
    expect(stage.world.instance.state).toBe('running');
    expect(stage.world.machine.files.has(paths.departure)).toBe(false);
    expect(stage.deeds()).toEqual([]);
  });
});

describe('terminated nodes', () => {
  it('hold no position in the leave queue', async () => {
    const { stage, world, run } = await inService(
      { disk: { checkSeconds: 10 } },
      ({ world: { cluster, instance } }) => {
        const dead = cluster.addInstance({ agentConnected: false, ec2InstanceId: 'i-0dead' });
        dead.attributes.set('ecs-node.leave.disk', '1000');
        instance.dead.add('i-0dead');
      },
    );
    stage.fillDisk(97);
    await run(10 * minute);
    expect(stage.own.attributes.has('ecs-node.leave.disk')).toBe(true);
    expect(world.calls.of('drain').length).toBeGreaterThan(0);
  });

  it('hold their position in the leave queue while EC2 does not report them as terminated', async () => {
    const { stage, world, run, agent } = await inService({ disk: { checkSeconds: 10 } }, ({ world: { cluster } }) => {
      cluster
        .addInstance({ agentConnected: false, ec2InstanceId: 'i-0ill' })
        .attributes.set('ecs-node.leave.disk', '9');
    });
    world.calls.fails('readRunning', denied, 3);
    stage.fillDisk(97);
    await run(10 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it.each([2, 101, 250])('are no outage, also %i: a node whose own ECS agent died is replaced', async (dead) => {
    const { stage, world, run } = await inService({}, ({ world: { cluster, instance } }) => {
      for (const id of Array.from({ length: dead }, (_, index) => `i-0dead${index}`)) {
        cluster.addInstance({ agentConnected: false, ec2InstanceId: id });
        instance.dead.add(id);
      }
    });
    stage.own.agentConnected = false;
    world.localAgent = undefined;
    await run(3 * minute);
    await run(40 * minute);
    expect(world.machine.restarted.length).toBeGreaterThan(0);
    expect(stage.deeds()).toContain('terminateInGroup');
  });
});

describe('stale records of running instances', () => {
  it.each(['another node', 'this node itself'])('hold no position in the leave queue: of %s', async (of) => {
    const { stage, world, run } = await inService(
      { disk: { checkSeconds: 10 } },
      ({ world: { cluster, identity } }) => {
        const ec2InstanceId = of === 'another node' ? cluster.addInstance().ec2InstanceId : identity.instanceId;
        const stale = cluster.addInstance({ agentConnected: false, ec2InstanceId, registeredAt: 0 });
        stale.attributes.set('ecs-node.leave.disk', '1000');
      },
    );
    stage.fillDisk(97);
    await run(10 * minute);
    expect(world.calls.of('drain').length).toBeGreaterThan(0);
  });

  it.each(['connected', 'disconnected'])(
    'are no outage, whether the real record is %s: a node whose own ECS agent died is replaced',
    async (real) => {
      const { stage, world, run } = await inService({}, ({ world: { cluster, identity } }) => {
        const living = Array.from({ length: 9 }, () => cluster.addInstance());
        for (const index of Array.from({ length: 6 }).keys()) {
          const ec2InstanceId = real === 'connected' ? living[index]!.ec2InstanceId : identity.instanceId;
          cluster.addInstance({ agentConnected: false, ec2InstanceId, registeredAt: 0 });
        }
      });
      stage.own.agentConnected = false;
      world.localAgent = undefined;
      await run(3 * minute);
      await run(40 * minute);
      expect(stage.deeds()).toContain('terminateInGroup');
    },
  );
});

describe('two records of one instance', () => {
  it('are both drained, and the real one stays DRAINING when its agent is back', async () => {
    const { stage, world, run, agent } = await inService({}, (set) => {
      const stale = set.world.cluster.addInstance({
        ec2InstanceId: set.world.identity.instanceId,
        agentConnected: false,
        registeredAt: 99,
      });
      stale.attributes.set('stale', 'yes');
    });
    const local = world.localAgent;
    stage.own.agentConnected = false;
    world.localAgent = undefined;
    stage.agrees({ cause: 'operator', key: 'leave-1' });
    await run(10_000);
    world.localAgent = local;
    stage.own.agentConnected = true;
    await run(30_000);
    expect(world.cluster.instances.map(({ status }) => status)).toEqual(['DRAINING', 'DRAINING']);
    await agent.stop();
  });
});

describe('tasks', () => {
  const scaleIn = { cause: 'scale-in', reason: 'scale-in', key: 'target:Terminated', ending: 'await' } as const;

  // A batch task with stopTimeout 600 needs 300 s to stop. The hook was completed 150 s after
  // StopTask.
  it('have their own stop timeout, also after the planned time', async () => {
    for (const stopsAfterMs of [300_000, 1_500_000]) {
      const stage = setStage(configOf({ leave: { drainSeconds: 10 } }));
      const task = stage.world.cluster.addTask(stage.own.arn, {
        group: 'family:batch',
        stopsAfterMs,
        stopTimeoutMs: 1_800_000,
      });
      stage.group.begin('terminate');
      let statusThen = '';
      stage.world.calls.onCall = ({ verb }) => {
        if (verb === 'completeHook') statusThen ||= task.lastStatus;
      };
      await stage.leaves(scaleIn);
      expect(statusThen).toBe('STOPPED');
    }
  });

  it("have the ECS agent's timeout where they set none", async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 10 } }));
    stage.world.machine.files.set(paths.ecsConfig, 'ECS_CLUSTER=demo\nECS_CONTAINER_STOP_TIMEOUT=20m\n');
    const task = stage.world.cluster.addTask(stage.own.arn, {
      group: 'family:batch',
      stopsAfterMs: 1_100_000,
      stopTimeoutMs: undefined,
    } as object);
    Object.assign(task, { stopTimeoutMs: undefined });
    stage.world.calls.onCall = ({ verb }) => {
      if (verb === 'stopTask') task.stopTimeoutMs = 1_200_000;
    };
    stage.group.begin('terminate');
    await stage.leaves(scaleIn);
    expect(task.lastStatus).toBe('STOPPED');
  });

  it('are named and waited for until the deadline of the departure while ECS protects them', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 10 } }));
    stage.world.cluster.addTask(stage.own.arn, { protected: true, stopsAfterMs: Infinity });
    stage.group.begin('terminate');
    const began = stage.host.clock.uptime();
    const done = stage.leaves(scaleIn);
    await stage.world.clock.run(2 * minute);
    expect(stage.departure().blockers.join()).toContain('(protected)');
    await done;
    const [stopped] = stage.world.calls.of('stopTask');
    expect(stopped!.at - began).toBeGreaterThan(500_000);
    expect(stopped!.at - began).toBeLessThan(610_000);
  });

  it('are waited for where only the ECS agent tells of them, and does not name one', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 10 } }));
    const { cluster, calls, clock } = stage.world;
    calls.fails('cloud.readTasks', new Refused('no', { code: 'AccessDeniedException' }), 999);
    cluster.addTask(stage.own.arn, { stopsAfterMs: 10_000 });
    const unnamed = cluster.addTask(stage.own.arn, { stopsAfterMs: Infinity, unnamed: true });
    stage.group.begin('terminate');
    const done = stage.leaves(scaleIn);
    await clock.run(2 * minute);
    expect(stage.departure()).toMatchObject({
      phase: 'tasks',
      blockers: [expect.stringContaining('without an ARN RUNNING')],
    });
    unnamed.lastStatus = 'STOPPED';
    await clock.run(minute);
    expect(stage.departure()).toMatchObject({ phase: 'done', blockers: [] });
    await done;
  });

  it('are not stopped unless ECS lists them here, whatever the introspection port says', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 10 } }));
    const neighbour = stage.world.cluster.addInstance();
    const foreign = stage.world.cluster.addTask(neighbour.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.host.ecsAgent.readTasks = async () => [
      { arn: foreign.arn, family: 'web', version: '1', desiredStatus: 'RUNNING', knownStatus: 'RUNNING' },
    ];
    stage.group.begin('terminate');
    await stage.leaves(scaleIn);
    expect(foreign.lastStatus).toBe('RUNNING');
    expect(stage.world.calls.of('stopTask')).toEqual([]);
    // The verb refuses it too (host/aws/ecs/own-records.ts): the node must not even try.
    expect(stage.departure().irrevocable?.stoppedTasksAt).toBeUndefined();
  });
});

describe('the type Confirmed', () => {
  const product = globSync('{agent,bootstrap,commands,config,core,fleet,host,upkeep}/**/*.ts');
  const having = (pattern: RegExp) => product.filter((file) => pattern.test(readFileSync(file, 'utf8'))).toSorted();

  it('lets only one file make the proof that two sources agree', () => {
    expect(having(/as (unknown as )?Confirmed\b/)).toEqual(['agent/departure/confirm.ts']);
  });

  it('lets only one file end the machine', () => {
    const calls = /(cloud|machine)\.(terminateInGroup|reportUnhealthy|terminateSelf|powerOff)\(/;
    expect(having(calls)).toEqual(['agent/departure/terminate.ts']);
    expect(having(/abandonLaunch\(/)).toEqual(['agent/departure/terminate.ts', 'agent/joining/complete-hook.ts']);
    expect(having(/cloud\.completeHook\(/)).toEqual(['agent/joining/complete-hook.ts']);
  });
});
