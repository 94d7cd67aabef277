import { describe, expect, it } from 'vitest';
import { runDeparture } from '../../../../../agent/departure/leave.ts';
import { Refused, Unavailable } from '../../../../../core/errors.ts';
import { paths, renderState } from '../../../../../core/state/state.ts';
import { someBalancer } from '../../../../fakes/cloud/balancers.ts';
import { configOf, never, setStage, someOrder } from '../../stage.ts';
import { minute, hour, targetGroup, denied, deadly, inService, busy, silencesItsGroupAtTheEnd } from './in-service.ts';

// The departure was called off once, and never asked for again when the permission was there.
it('a full disk whose second source is refused costs no task, is told, and leaves when a person has mended it', async () => {
  const { stage, world, run } = await inService();
  world.calls.fails('readContainerInstance', denied);
  stage.fillDisk(97);
  await run(2 * hour);
  expect(stage.deeds().filter((deed) => deed === 'drain').length).toBeLessThanOrEqual(2);
  // A departure each quarter of an hour would tell the team of one each time.
  expect(world.log.filter(({ message }) => message === 'leaving')).toHaveLength(1);
  expect(stage.status()?.watchers['disk']?.error).toContain('asks again later');
  expect(stage.deeds()).not.toContain('terminateInGroup');
  world.calls.heals();
  await run(20 * minute);
  expect(stage.deeds()).toContain('terminateInGroup');
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

  // Seed 139086546: the node was left to the notice, which takes over from no such departure.
  it('is undone past its registrar although a false spot notice stands beside it', async () => {
    const { stage, world, run, agent } = await inService();
    world.instance.spotStatus = 'fulfilled';
    silencesItsGroupAtTheEnd(world);
    stage.fillDisk(97);
    for (let seconds = 0; seconds < 600 && stage.deregistered.length === 0; seconds++) await run(1_000);
    expect(stage.departure()).toMatchObject({ cause: 'disk', phase: 'terminate' });
    world.metadata.spotNotice = { action: 'terminate', at: stage.host.clock.now() + 120_000 };
    stage.fillDisk(20);
    await run(minute / 2);
    world.calls.heals();
    await run(5 * minute);
    world.metadata.spotNotice = undefined;
    await run(5 * minute);
    expect(world.instance.state).toBe('running');
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  // The node was ACTIVE until the next order drained it again, unless a person's order stood.
  it('is not ACTIVE for a moment past its registrar while an order stands that only drains', async () => {
    const { stage, world, run, agent } = await inService({ rebalance: { action: 'drain' } });
    silencesItsGroupAtTheEnd(world);
    stage.fillDisk(97);
    for (let seconds = 0; seconds < 600 && stage.deregistered.length === 0; seconds++) await run(1_000);
    world.metadata.rebalanceNotice = '2030-01-01T00:00:00Z';
    await run(minute);
    expect(stage.departure()).toMatchObject({ cause: 'disk', phase: 'terminate' });
    stage.fillDisk(20);
    await run(minute / 2);
    world.calls.heals();
    await run(5 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'rebalance', phase: 'done' });
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.deeds()).not.toContain('activate');
    await agent.stop();
  });

  // Seed 520003036: the node was ACTIVE for a moment, although its machine was to be stopped.
  it('is not undone past its registrar once a confirmed notice has taken over', async () => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 3600 } });
    busy(stage);
    silencesItsGroupAtTheEnd(world);
    const local = world.localAgent;
    stage.own.agentConnected = false;
    world.localAgent = undefined;
    world.cluster.tasks.length = 0;
    for (let n = 0; n < 7200 && stage.deregistered.length === 0; n++) await run(1_000);
    expect(stage.departure()).toMatchObject({ cause: 'ecs-agent', phase: 'terminate' });
    await agent.stop();
    busy(stage);
    world.calls.fails('readContainerInstance', new Unavailable('Rate exceeded'));
    world.instance.spotStatus = 'marked-for-termination';
    world.metadata.spotNotice = { action: 'terminate', at: stage.host.clock.now() + 120_000 };
    const next = stage.agent(world.restart());
    await run(10_000);
    expect(stage.departure()).toMatchObject({ cause: 'spot', confirmedAt: expect.any(Number) as unknown });
    stage.own.agentConnected = true;
    world.localAgent = local;
    world.calls.heals();
    await run(100_000);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.deeds()).not.toContain('activate');
    await next.stop();
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
        reason: "Auto Scaling's target state is Terminated",
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

// Each minute more is one in which the node is DRAINING, and its group starts no other.
describe('a second source that is silent for a moment right before the termination', () => {
  it('is asked again after seconds', async () => {
    const { host, world, config, agrees, deeds } = setStage();
    agrees();
    let silentAt = 0;
    const deregister = async () => {
      silentAt = world.clock.uptime();
      world.calls.fails('readContainerInstance', new Unavailable('throttled'));
      world.clock.schedule(5_000, () => world.calls.heals());
    };
    await world.clock.finish(runDeparture(host, config, someOrder(), { deregister }, never));
    expect(deeds()).toContain('terminateInGroup');
    const [ended] = world.calls.of('terminateInGroup');
    expect(ended!.at - silentAt).toBeLessThan(45_000);
  });
});

describe('a second source that the role may not read', () => {
  it('ends no node for its own reason: its bootstrap ends as refused, and no departure is remembered', async () => {
    const stage = setStage();
    [stage.world.cluster.instances, stage.world.localAgent, stage.world.group] = [[], undefined, undefined];
    stage.world.metadata.targetState = undefined;
    stage.world.calls.fails('readContainerInstance', denied);
    await expect(stage.leaves({ cause: 'bootstrap-failed', reason: 'no registrar' })).rejects.toThrow(Refused);
    expect(stage.world.instance.state).toBe('running');
    expect(stage.world.machine.files.has(paths.departure)).toBe(false);
    expect(stage.deeds()).toEqual([]);
  });
});
