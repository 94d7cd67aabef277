/** One wrong answer of one source: it is asked again, and decides nothing. */

import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import type { Host } from '../../../core/host.ts';
import { someImage } from '../../fakes/docker.ts';
import { ask } from './running/in-service.ts';
import { configOf, never, setStage, type Stage } from './stage.ts';

const minute = 60_000;
const hour = 60 * minute;

/** The host, whose cloud gives `answer` to `verb` once, or for `ms`, as soon as `when` is true. */
function lying(
  { host, world }: Stage,
  verb:
    | 'readMembership'
    | 'readHooks'
    | 'readSpotStatus'
    | 'readContainerInstance'
    | 'readLeaveQueue'
    | 'readClusterHealth'
    | 'readRunning',
  answer: unknown,
  when: () => boolean = () => true,
  ms = 0,
): Host {
  let until: number | undefined;
  const real = host.cloud[verb] as (...args: unknown[]) => Promise<unknown>;
  const lie = async (...args: unknown[]) => {
    const truth = await real(...args);
    const isFirst = until === undefined && when();
    if (isFirst) until = world.clock.uptime() + ms;
    return isFirst || world.clock.uptime() < (until ?? 0) ? answer : truth;
  };
  return { ...host, cloud: { ...host.cloud, [verb]: lie } };
}

/**
 * The disk fills, and the removal of an unused image frees it. By default, this ends before the
 * check of the ECS agent reads the node's record again.
 */
async function fillAndFree(stage: Stage, onFreed: () => void, ms = 8 * minute): Promise<void> {
  const { clock, docker } = stage.world;
  stage.fillDisk(95);
  docker.images.push(someImage('app:1', 1));
  docker.onRemove = () => {
    stage.fillDisk(50);
    onFreed();
  };
  await clock.run(ms);
}

const hookNamed = ({ group }: Stage, name: string) => group.hooks.find((hook) => hook.name === name);

describe('one empty list of hooks', () => {
  // The list counted as "no hook": the node was joined, and its hook timed out and ended it.
  it('does not end the wait for the launch hook of a group that waits', async () => {
    const stage = setStage();
    stage.group.hookLagMs = 40_000;
    stage.group.begin('launch');
    const agent = stage.agent(lying(stage, 'readHooks', []));
    await stage.world.clock.run(4 * minute);
    expect(hookNamed(stage, 'launch')?.ended).toBe('CONTINUE');
    await agent.stop();
  });
});

describe('one answer of EC2 without the spot request', () => {
  // It counted as a denial for the whole departure: the tasks were never stopped in time.
  it('leaves the tasks their time before the end where EC2 is silent afterwards', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 900 } }));
    const { world } = stage;
    world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: 20_000 });
    const isNoticed = () => world.metadata.spotNotice !== undefined;
    const agent = stage.agent(lying(stage, 'readSpotStatus', undefined, isNoticed));
    await world.clock.run(minute);
    world.metadata.spotNotice = { action: 'terminate', at: stage.host.clock.now() + 120_000 };
    world.instance.spotStatus = 'marked-for-termination';
    await world.clock.run(11_000);
    expect(world.calls.of('readSpotStatus')).toHaveLength(1);
    world.calls.fails('readSpotStatus', new Unavailable('silent'));
    await world.clock.run(2 * minute);
    expect(world.calls.of('stopTask')).not.toHaveLength(0);
    await agent.stop();
  });
});

describe('an answer of ECS without the node', () => {
  // The undoing was noted as done, and the healthy node stayed DRAINING for ever.
  it.each(['a person', 'its group'])('leaves no node DRAINING whose departure %s called off', async (who) => {
    const stage = setStage();
    const { world } = stage;
    let stays = false;
    const agent = stage.agent(lying(stage, 'readContainerInstance', undefined, () => stays));
    await world.clock.run(minute);
    world.localAgent = undefined;
    world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    if (who === 'a person') ask(stage, 'leave', false);
    else world.metadata.targetState = 'Terminated';
    await world.clock.run(8_000);
    expect(stage.own.status).toBe('DRAINING');
    stays = true;
    if (who === 'a person') ask(stage, 'stay');
    else world.metadata.targetState = 'InService';
    await world.clock.run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  // Such an answer counts after half a minute, unless this machine contradicts it.
  it('leaves no node DRAINING while Docker runs its task, even if it lasts', async () => {
    const stage = setStage();
    const { world } = stage;
    let stays = false;
    const agent = stage.agent(lying(stage, 'readContainerInstance', undefined, () => stays, 45_000));
    await world.clock.run(minute);
    world.localAgent = undefined;
    const task = world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    world.docker.containers.push({ name: 'ecs-batch', imageId: 'app:1', state: 'running', taskArn: task.arn });
    ask(stage, 'leave', false);
    await world.clock.run(8_000);
    expect(stage.own.status).toBe('DRAINING');
    stays = true;
    ask(stage, 'stay');
    await world.clock.run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it.each([
    ['readContainerInstance', undefined, 4 * minute],
    ['readLeaveQueue', [], 0],
  ] as const)('leaves no node DRAINING whose disk is freed: %s', async (verb, answer, ms) => {
    const stage = setStage();
    const { world } = stage;
    let isFreed = false;
    const agent = stage.agent(lying(stage, verb, answer, () => isFreed, ms));
    await world.clock.run(minute);
    if (verb === 'readContainerInstance') world.localAgent = undefined;
    await fillAndFree(stage, () => (isFreed = true), 8 * minute + 2 * ms);
    expect(stage.deeds()).toContain('drain');
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.own.attributes.size).toBe(0);
    await agent.stop();
  });

  // Seed 810018212: the queue and the record both came from a replica that was behind.
  it('leaves no node DRAINING whose disk is freed while all of ECS is behind', async () => {
    const stage = setStage();
    const { world } = stage;
    let isFreed = false;
    const behind = lying(stage, 'readLeaveQueue', [], () => isFreed, 45_000);
    const before = structuredClone(await stage.host.cloud.readContainerInstance('demo', undefined, never));
    const { cloud } = lying(stage, 'readContainerInstance', before, () => isFreed, 45_000);
    const readContainerInstance = cloud.readContainerInstance;
    const agent = stage.agent({ ...behind, cloud: { ...behind.cloud, readContainerInstance } });
    await world.clock.run(minute);
    await fillAndFree(stage, () => (isFreed = true));
    expect(stage.deeds()).toContain('drain');
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.own.attributes.size).toBe(0);
    await agent.stop();
  });
});

describe('a retirement two weeks ahead', () => {
  // Its date made the node's own limit one that does not move: a task with a long stop timeout was
  // stopped ten seconds after the notice.
  it('stops no task before the time that the configuration gives it', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 1800 }, maintenance: { pollSeconds: 10 } }));
    const { world } = stage;
    const task = { group: 'service:batch', definition: 'd', stopTimeoutMs: hour, stopsAfterMs: 50 * minute };
    world.cluster.addTask(stage.own.arn, task);
    const agent = stage.agent();
    await world.clock.run(minute);
    const notBefore = stage.host.clock.now() + 14 * 24 * hour;
    world.metadata.maintenance = [
      { id: 'instance-event-1', code: 'instance-retirement', state: 'active', notBefore, description: '' },
    ];
    await world.clock.run(25 * minute);
    expect(stage.own.status).toBe('DRAINING');
    expect(world.calls.of('stopTask')).toEqual([]);
    await world.clock.run(2 * hour);
    expect(world.calls.of('stopTask')).toHaveLength(1);
    expect(world.instance.state).not.toBe('running');
    await agent.stop();
  });

  // AWS refused to undo the departure while the event was not listed: the node stayed DRAINING.
  it('is obeyed when it is listed again, although AWS refused to undo the departure meanwhile', async () => {
    const stage = setStage(configOf({ maintenance: { pollSeconds: 10 } }));
    const { world } = stage;
    world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    const agent = stage.agent();
    await world.clock.run(minute);
    const notBefore = stage.host.clock.now() + 14 * 24 * hour;
    const event = { id: 'instance-event-1', code: 'instance-retirement', state: 'active', notBefore, description: '' };
    world.metadata.maintenance = [{ ...event, state: 'active' }];
    await world.clock.run(minute);
    expect(stage.own.status).toBe('DRAINING');
    world.metadata.maintenance = [];
    world.calls.fails('activate', new Refused('denied', { code: 'AccessDenied' }));
    await world.clock.run(2 * minute);
    expect(world.calls.of('activate').length).toBeGreaterThan(0);
    world.metadata.maintenance = [{ ...event, state: 'active' }];
    world.calls.heals();
    await world.clock.run(2 * hour);
    expect(world.instance.state).not.toBe('running');
    await agent.stop();
  });
});

describe('a confirmed return to the warm pool', () => {
  // Its confirmation also counted for the termination that only the metadata service then named:
  // the node left its registrar, and came back from the pool without it.
  it('does not confirm a termination that only the metadata service reports', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 3600 } }));
    const { world } = stage;
    world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: 90_000 });
    const agent = stage.agent();
    await world.clock.run(minute);
    world.metadata.targetState = 'Warmed:Stopped';
    stage.group.lifecycleState = 'Warmed:Pending:Wait';
    await world.clock.run(minute);
    expect(stage.departure()).toMatchObject({ returns: true, confirmedBy: expect.stringContaining('Warmed') });
    world.metadata.targetState = 'Terminated';
    await world.clock.run(5 * minute);
    expect(stage.departure()).not.toHaveProperty('confirmedAt');
    expect(stage.deregistered).toEqual([]);
    world.metadata.targetState = 'Warmed:Stopped';
    await world.clock.run(5 * minute);
    expect(stage.deregistered).toEqual([]);
    await agent.stop();
  });
});

describe('one answer that the node is in no group', () => {
  // The phase was over: nothing completed the terminate hook.
  it('leaves no terminate hook to its timeout', async () => {
    const stage = setStage();
    stage.world.metadata.tags = { 'aws:autoscaling:groupName': 'web' };
    const atHook = () => stage.departure()?.phase === 'hook';
    const agent = stage.agent(lying(stage, 'readMembership', undefined, atHook));
    await stage.world.clock.run(minute);
    stage.world.metadata.targetState = 'Terminated';
    stage.group.begin('terminate');
    await stage.world.clock.run(4 * minute);
    expect(hookNamed(stage, 'terminate')?.ended).toBe('CONTINUE');
    await agent.stop();
  });
});

/** The second source of a group: EC2 shows the tag that Auto Scaling set. */
const tagged = (stage: Stage) => void (stage.world.instance.tags['aws:autoscaling:groupName'] = 'web');

describe.each([
  ['readMembership', undefined],
  ['readHooks', []],
] as const)('one empty answer to %s', (verb, answer) => {
  // The heartbeats ended for good: the hook timed out under a running task.
  it('ends no heartbeats of a terminate hook', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 3600 } }));
    tagged(stage);
    stage.world.cluster.addTask(stage.own.arn, { group: 'service:web', stopsAfterMs: 20 * minute });
    const agent = stage.agent(lying(stage, verb, answer, () => stage.departure()?.cause === 'scale-in'));
    await stage.world.clock.run(minute);
    stage.world.metadata.targetState = 'Terminated';
    stage.group.begin('terminate');
    await stage.world.clock.run(25 * minute);
    expect(hookNamed(stage, 'terminate')?.ended).toBe('CONTINUE');
    await agent.stop();
  });

  // The hook timed out before the ECS agent had registered, and ended the new node.
  it('ends no heartbeats of a launch hook', async () => {
    const stage = setStage(configOf({ join: { timeoutSeconds: 1500 } }));
    tagged(stage);
    const { world } = stage;
    const local = world.localAgent;
    [world.cluster.instances, world.localAgent] = [[], undefined];
    stage.group.begin('launch');
    const agent = stage.agent(lying(stage, verb, answer));
    await world.clock.run(12 * minute);
    [world.cluster.instances, world.localAgent] = [[stage.own], local];
    await world.clock.run(5 * minute);
    expect(hookNamed(stage, 'launch')?.ended).toBe('CONTINUE');
    await agent.stop();
  });

  it('ends no heartbeats of a launch hook under the tasks of a node that leaves', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 3600 } }));
    tagged(stage);
    stage.group.hooks[0]!.heartbeatSeconds = 120;
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 20 * minute });
    stage.group.begin('launch');
    const began = stage.host.clock.uptime();
    await stage.leaves({ cause: 'operator', reason: 'by hand', key: 'leave-1' }, lying(stage, verb, answer));
    expect(stage.host.clock.uptime() - began).toBeGreaterThanOrEqual(20 * minute);
    expect(hookNamed(stage, 'launch')?.ended).toBe('ABANDON');
  });
});

describe('an outage of ECS that disconnects all nodes', () => {
  // The guard was asked once: the node drained, stopped its tasks and ended itself.
  it.each([
    ['ECS lists no other disconnected node', 'readClusterHealth', 0],
    ['ECS lists no other disconnected node for a minute', 'readClusterHealth', minute],
    ['EC2 runs no other instance', 'readRunning', 0],
    ['EC2 runs no other instance for a minute', 'readRunning', minute],
  ] as const)('ends no node when %s', async (_what, verb, ms) => {
    const stage = setStage(configOf());
    const { world, own } = stage;
    const others = Array.from({ length: 9 }, () => world.cluster.addInstance({ agentConnected: true }));
    const alone = {
      readClusterHealth: { registered: 10, disconnected: 1, disconnectedArns: [own.arn] },
      readRunning: [world.identity.instanceId],
    };
    let isTime = false;
    const agent = stage.agent(lying(stage, verb, alone[verb], () => isTime, ms));
    await world.clock.run(minute);
    for (const each of [own, ...others]) each.agentConnected = false;
    await world.clock.run(hour);
    isTime = true;
    await world.clock.run(hour / 2);
    expect(world.calls.of(verb).length).toBeGreaterThan(20);
    expect(stage.deeds().filter((deed) => deed !== 'restartUnit' && deed !== 'publish')).toEqual([]);
    expect([world.instance.state, own.status]).toEqual(['running', 'ACTIVE']);
    await agent.stop();
  });

  it('keeps no node for ever whose own ECS agent is dead', async () => {
    const stage = setStage(configOf());
    const { world, own } = stage;
    const others = Array.from({ length: 9 }, () => world.cluster.addInstance({ agentConnected: true }));
    const agent = stage.agent();
    await world.clock.run(minute);
    for (const each of [own, ...others]) each.agentConnected = false;
    await world.clock.run(hour);
    for (const each of others) each.agentConnected = true;
    await world.clock.run(10 * minute);
    expect(world.instance.state).not.toBe('running');
    await agent.stop();
  });
});
