import { describe, expect, it } from 'vitest';
import type { AgentOptions } from '../../../../agent/agent.ts';
import { join } from '../../../../agent/joining/join.ts';
import { mayTerminate } from '../../../../commands/node/join-failure.ts';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { paths } from '../../../../core/state/state.ts';
import { groupTag } from '../../../../upkeep/group-tag.ts';
import { someHook } from '../../../fakes/cloud/group.ts';
import { bootedFirst, configOf, never, setStage, type Stage } from '../stage.ts';

const minute = 60_000;
const hour = 60 * minute;

const hookOf = (launchHookSeconds?: number) =>
  configOf({ autoScaling: { launchHook: 'launch', terminateHook: 'terminate', launchHookSeconds } });

/**
 * A node of a group that was launched at once, bootstrapped in its first boot: its tags tell the
 * group, its configuration the hook's time.
 */
function launched(registersAfterMs = 5_000, config = hookOf(1800)) {
  const stage = setStage(config);
  stage.world.metadata.tags = { [groupTag]: 'web' };
  stage.group.hooks = [someHook('launch', 'launch', { heartbeatSeconds: 1800, globalSeconds: 180_000 })];
  stage.group.begin('launch');
  bootedFirst(stage);
  const local = stage.world.localAgent;
  stage.world.localAgent = undefined;
  stage.own.agentConnected = false;
  stage.world.clock.schedule(registersAfterMs, () => {
    stage.world.localAgent = local;
    stage.own.agentConnected = true;
  });
  const joins = (host = stage.host) => join(host, config, () => {}, never);
  return { ...stage, joins, finish: () => stage.world.clock.finish(joins(), 3 * hour) };
}

/** Enough early failures to make the storm guard hold for hours. */
function youngDeaths(now: number) {
  return Array.from({ length: 6 }, (_, n) => `i-0000000000000000${n}`).flatMap((instanceId) => [
    { kind: 'launch' as const, instanceId, at: now - 60_000, succeeded: true },
    { kind: 'terminate' as const, instanceId, at: now, succeeded: true },
  ]);
}

const toAutoScaling = ({ world }: Pick<Stage, 'world'>) =>
  world.calls
    .verbs('cloud')
    .filter((verb) => ['readMembership', 'readHooks', 'heartbeat', 'completeHook'].includes(verb));

describe('the launch hook of one node among thousands', () => {
  // Ten thousand nodes asked Auto Scaling five times each, which takes 40 minutes; hooks of half an
  // hour had timed out by then.
  it('is completed with one call to Auto Scaling when the tags name the group and the target is InService', async () => {
    const node = launched();
    await node.finish();
    expect(toAutoScaling(node)).toEqual(['completeHook']);
    expect(node.group.lifecycleState).toBe('InService');
  });

  it('is not completed by a node that is not in service', async () => {
    const node = launched(20 * minute, configOf({ ...hookOf(1800), join: { timeoutSeconds: 3600 } }));
    await node.finish();
    expect(node.world.calls.of('completeHook')[0]!.at).toBeGreaterThanOrEqual(20 * minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  it.each([
    ['its tags are not shown', ({ world }: Stage) => void (world.metadata.tags = undefined)],
    ['the metadata service is silent', ({ world }: Stage) => world.calls.fails('readTag', new Unavailable('reset'))],
    ['its target is not known', ({ world }: Stage) => world.calls.fails('readTargetState', new Unavailable('reset'))],
    ['its target is another one', ({ world }: Stage) => void (world.metadata.targetState = 'Terminated')],
    ['the node has booted again', (stage: Stage) => bootedFirst(stage, 'the boot before')],
    ['nobody knows in which boot it is', ({ world }: Stage) => void world.machine.files.delete(paths.bootstrap)],
  ])('is looked up first when %s', async (_, prepare) => {
    const node = launched();
    prepare(node);
    await node.finish();
    expect(toAutoScaling(node).slice(0, 2)).toEqual(['readMembership', 'completeHook']);
    expect(node.group.lifecycleState).toBe('InService');
  });

  it.each([
    ['says that it does not wait', ({ group }: Stage) => void (group.hookLagMs = minute)],
    [
      'does not know the group that the tags name',
      ({ world }: Stage) => void (world.metadata.tags = { [groupTag]: 'old' }),
    ],
  ])('is looked up when Auto Scaling %s', async (_, prepare) => {
    const node = launched();
    prepare(node);
    await node.finish();
    expect(toAutoScaling(node).slice(0, 2)).toEqual(['completeHook', 'readMembership']);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  it('is looked up at most twice a minute by a role that may not complete it', async () => {
    const node = launched();
    node.world.calls.fails('completeHook', new Refused('not allowed', { code: 'AccessDenied' }));
    const agent = node.agent();
    await node.world.clock.run(30 * minute);
    expect(node.world.calls.of('completeHook').length).toBeLessThanOrEqual(120);
    await agent.stop();
  });
});

describe('the heartbeats of one node among thousands', () => {
  const late = () => launched(40 * minute, configOf({ ...hookOf(1800), join: { timeoutSeconds: 7200 } }));

  it('begin when up to half of the configured time is over, and ask nothing else', async () => {
    const node = late();
    await node.finish();
    const [first] = node.world.calls.of('heartbeat');
    expect(first!.at).toBeGreaterThanOrEqual(7 * minute);
    expect(first!.at).toBeLessThanOrEqual(15 * minute);
    expect(new Set(toAutoScaling(node))).toEqual(new Set(['heartbeat', 'completeHook']));
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // Ten thousand nodes all asked once a minute, and some got no answer for half an hour.
  it('are retried more often the less time the hook has left', async () => {
    const node = late();
    node.world.calls.fails('heartbeat', new Unavailable('throttled'));
    void node.joins().catch(() => {});
    await node.world.clock.run(28 * minute);
    const tries = node.world.calls.of('heartbeat').map(({ at }) => at);
    const pauses = tries.slice(1).map((at, index) => at - tries[index]!);
    expect(Math.min(...pauses.slice(0, 5))).toBeGreaterThanOrEqual(20_000);
    expect(Math.max(...pauses.slice(-5))).toBeLessThanOrEqual(20_000);
    expect(tries.length).toBeLessThanOrEqual(90);
  });

  // Where that counted from the process's own start, one that was started again and again would
  // never have sent any.
  it('are not delayed by a process that restarts', async () => {
    const node = late();
    void node.joins().catch(() => {});
    for (let restarts = 0; restarts < 10; restarts++) {
      await node.world.clock.run(3 * minute);
      void node.joins(node.world.restart()).catch(() => {});
    }
    await node.world.clock.run(20 * minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  it('begin at once after a reboot, when the used time is unknown', async () => {
    const node = late();
    const host = node.world.reboot();
    void node.joins(host).catch(() => {});
    await node.world.clock.run(minute);
    expect(node.world.calls.of('heartbeat')).toHaveLength(1);
  });

  it('are tried ever more rarely in a group without that hook', async () => {
    const node = launched(1e9, configOf({ autoScaling: { launchHook: 'other' } }));
    node.world.calls.fails('readContainerInstance', new Unavailable('throttled'));
    void node.joins().catch(() => {});
    await node.world.clock.run(6 * hour);
    expect(node.world.calls.of('readHooks').length).toBeGreaterThan(20);
    expect(node.world.calls.of('readHooks').length).toBeLessThan(60);
    expect(node.world.calls.of('heartbeat').length).toBe(node.world.calls.of('readHooks').length);
  });

  it('ask for the interval when the hook is not active, whatever the configuration says', async () => {
    const node = late();
    node.group.hookLagMs = 16 * minute;
    await node.finish();
    expect(node.world.calls.of('readHooks').length).toBeGreaterThan(0);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });
});

/**
 * A node with the wrong cluster, in a group whose nodes end one after another: the storm guard
 * holds it, and it tries again every minute.
 */
function held() {
  const often = { firstWaitSeconds: 60, maxWaitSeconds: 60, windowSeconds: 7200 };
  const config = configOf({ ...hookOf(1800), stormGuard: often, join: { timeoutSeconds: 30 } });
  const node = launched(1e9, config);
  node.world.localAgent = { cluster: 'other', version: '1' };
  node.world.group!.activities.push(...youngDeaths(node.world.clock.now()));
  const mayHold: NonNullable<AgentOptions['mayTerminate']> = (callSignal, knownFacts) =>
    mayTerminate(node.host, config, callSignal, knownFacts);
  return { node, starts: () => node.agent(node.host, { mayTerminate: mayHold }) };
}

describe('a node that can never join', () => {
  // Ten thousand of them, held by the storm guard, tried again every few minutes and sent a
  // heartbeat each time: twice what Auto Scaling takes.
  it("sends no heartbeat before half of the last one's time is over, however often it tries", async () => {
    const { node, starts } = held();
    const agent = starts();
    await node.world.clock.run(100 * minute);
    const beats = node.world.calls.of('heartbeat').map(({ at }) => at);
    expect(beats.length).toBeGreaterThanOrEqual(5);
    for (const [index, at] of beats.slice(1).entries()) {
      expect(at - beats[index]!).toBeGreaterThanOrEqual(14 * minute);
      expect(at - beats[index]!).toBeLessThanOrEqual(20 * minute);
    }
    expect(node.group.hooks[0]!.active).toBe(true);
    expect(node.world.calls.of('readActivities').length).toBeGreaterThan(50);
    expect(node.deeds()).not.toContain('terminateInGroup');
    await agent.stop();
  });
});

describe('a held node that tries again', () => {
  // In two hours, 318 of ten thousand nodes were terminated: each new try to join started their
  // heartbeats again, at the slow first pace.
  it('sends heartbeats more often the less time its hook has left, however often it starts again', async () => {
    const { node, starts } = held();
    node.world.calls.fails('heartbeat', new Unavailable('throttled'));
    const agent = starts();
    await node.world.clock.run(28 * minute);
    const at = (from: number, to: number) =>
      node.world.calls.of('heartbeat').filter((call) => call.at >= from * minute && call.at < to * minute).length;
    expect(at(24, 28)).toBeGreaterThan(1.5 * at(15, 19));
    await agent.stop();
  });
});

describe('an entry in the leave queue', () => {
  const queue = ({ world }: Pick<Stage, 'world'>) => world.calls.of('readLeaveQueue').length;

  it('is not looked up by a node whose record showed none a moment ago', async () => {
    const node = launched();
    const agent = node.agent();
    await node.world.clock.run(30 * minute);
    expect(node.status().join.state).toBe('joined');
    expect(queue(node)).toBe(0);
    expect(node.world.calls.of('readContainerInstance').length).toBeLessThanOrEqual(4);
    await agent.stop();
  });

  it('is removed after a reboot by a node that is still queued in ECS', async () => {
    const node = launched();
    node.own.attributes.set('ecs-node.leave.disk', '1');
    node.own.status = 'DRAINING';
    const agent = node.agent();
    await node.world.clock.run(10 * minute);
    expect(node.own.attributes.size).toBe(0);
    expect(node.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it('is removed by a node that queued after it was seen in service', async () => {
    const node = launched(5_000, configOf({ disk: { leave: false } }));
    const agent = node.agent();
    await node.world.clock.run(2 * minute);
    node.fillDisk(95);
    await node.world.clock.run(6 * minute);
    expect(node.world.calls.of('queueToLeave').length).toBeGreaterThan(0);
    node.fillDisk(10);
    await node.world.clock.run(10 * minute);
    expect(node.own.attributes.size).toBe(0);
    await agent.stop();
  });
});

describe("the group's name", () => {
  // In a group of a thousand without shown tags or a configured hook time, 22 nodes were
  // terminated: each asked three times for the same.
  it('is asked for once in the life of an agent, whichever part needs it first', async () => {
    const node = launched(20 * minute, configOf({ join: { timeoutSeconds: 3600 }, metrics: { enabled: true } }));
    node.world.metadata.tags = undefined;
    const agent = node.agent();
    await node.world.clock.run(30 * minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    expect(node.world.published[0]!.metrics.some(({ dimensions }) => 'AutoScalingGroupName' in dimensions)).toBe(true);
    expect(node.world.calls.of('heartbeat').length).toBeGreaterThan(0);
    expect(node.world.calls.of('readMembership')).toHaveLength(1);
    await agent.stop();
  });
});
