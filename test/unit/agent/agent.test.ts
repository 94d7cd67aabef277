import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { slowingAfter } from '../../../core/poll.ts';
import { paths, renderState, type OperatorRequest } from '../../../core/state/state.ts';
import { someImage } from '../../fakes/docker.ts';
import { configOf, lazily, setStage } from './stage.ts';

// Hours pass in seconds, but not on a machine that does five other things.

const minute = 60_000;
const hour = 60 * minute;

/** A node that is in service and whose agent runs. */
async function inService(config = configOf(), world: (stage: ReturnType<typeof setStage>) => void = () => {}) {
  const stage = setStage(config);
  world(stage);
  const agent = stage.agent();
  await stage.world.clock.run(minute);
  stage.world.calls.list.length = 0;
  return { stage, agent, run: (ms: number) => stage.world.clock.run(ms) };
}

const spotAt = (at: number, action: 'terminate' | 'stop' | 'hibernate' = 'terminate') => ({ action, at });

describe('the agent', () => {
  it('tells systemd that it is ready, its status, and that it lives', async () => {
    const stage = setStage();
    const agent = stage.agent(stage.host, { watchdogMs: 20_000 });
    await stage.world.clock.run(minute);
    expect(stage.world.machine.notified[0]).toContain('READY=1');
    expect(stage.world.machine.notified.filter((word) => word.includes('WATCHDOG=1')).length).toBeGreaterThanOrEqual(6);
    expect(stage.world.machine.notified.join()).toContain('STATUS=joined');
    await agent.stop();
  });

  it('does nothing to a healthy node, and asks AWS next to nothing', async () => {
    const { stage, run, agent } = await inService();
    await run(hour);
    expect(stage.deeds()).toEqual([]);
    const calls = stage.world.calls.verbs('cloud');
    expect(calls.length).toBeLessThanOrEqual(10);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it('writes its status when something changed, and otherwise once a minute', async () => {
    const { stage, run, agent } = await inService();
    await run(hour);
    const writes = stage.world.calls.of('writeText').length;
    expect(writes).toBeGreaterThan(50);
    expect(writes).toBeLessThan(75);
    expect(stage.status()).toMatchObject({
      join: { state: 'joined' },
      watchers: { disk: { finding: 'well' }, spot: { finding: 'well' } },
    });
    expect(JSON.stringify(stage.status()).length).toBeLessThan(6_000);
    await agent.stop();
  });

  it('shows a new finding in the status within seconds, and what it must not repeat after a restart', async () => {
    const { stage, run, agent } = await inService(
      configOf({ ecsAgent: { action: 'log', pollSeconds: 10, patienceSeconds: 60 } }),
    );
    const spot = () => stage.status().watchers['spot'];
    stage.world.calls.fails('readSpotNotice', new Unavailable('silent'));
    await run(8_000);
    expect(spot()).toMatchObject({ finding: 'unknown', error: 'silent' });
    stage.world.calls.heals('readSpotNotice');
    stage.world.calls.fails('readSpotNotice', new Refused('forbidden'));
    await run(8_000);
    expect(spot()).toMatchObject({ finding: 'unknown', error: 'forbidden' });
    stage.world.calls.heals();
    await run(8_000);
    expect(spot()?.finding).toBe('well');
    expect(spot()).not.toHaveProperty('error');
    stage.fillDisk(61);
    await run(minute + 4_000);
    expect(JSON.stringify(stage.status().watchers['disk']?.facts)).toContain('"usedPercent":61');
    [stage.own.agentConnected, stage.world.localAgent] = [false, undefined];
    while (!stage.world.log.some(({ message }) => message === 'noticed')) await run(1_000);
    await run(4_000);
    expect(stage.status().memories['ecs-agent']?.handled).toHaveLength(1);
    await agent.stop();
  });

  it('never leaves because measurements failed, even for hours', async () => {
    for (const error of [new Unavailable('silent'), new Refused('AccessDenied'), new TypeError('a bug')]) {
      const { stage, run, agent } = await inService(lazily());
      stage.world.calls.fails('*', error);
      await run(3 * hour);
      expect(stage.own.status).toBe('ACTIVE');
      expect(stage.world.instance.state).toBe('running');
      expect(stage.world.machine.power).toBe('on');
      expect(stage.world.machine.restarted).toEqual([]);
      await agent.stop();
    }
  });

  it('is DRAINING within two seconds of a spot notice while every other call hangs', async () => {
    const { stage, run, agent } = await inService();
    for (const verb of ['readTargetState', 'readMaintenance', 'measureDisks', 'readRebalanceNotice'])
      stage.world.calls.hangs(verb);
    await run(2 * minute);
    const noticed = stage.host.clock.uptime();
    stage.world.metadata.spotNotice = spotAt(stage.host.clock.now() + 120_000);
    await run(2_100);
    expect(stage.own.status).toBe('DRAINING');
    const cloud = stage.world.calls.list.filter(({ area, at }) => area === 'cloud' && at >= noticed);
    expect(cloud[0]?.verb).toBe('drain');
    await agent.stop();
  });

  it('is DRAINING within two seconds of a scale-in, and ends when it has left', async () => {
    const { stage, run, agent } = await inService();
    stage.world.cluster.addTask(stage.own.arn);
    stage.world.metadata.targetState = 'Terminated';
    stage.world.clock.schedule(10_000, () => stage.group.begin('terminate'));
    await run(2_000);
    expect(stage.own.status).toBe('DRAINING');
    const state = await stage.world.clock.finish(agent.done);
    expect(state).toMatchObject({ cause: 'scale-in', phase: 'done' });
    expect(stage.deeds()).toEqual(['drain', 'deregister', 'tagSelf', 'completeHook']);
  });

  // A node that had just left its warm pool was drained, because the metadata service still spoke
  // of the pool for three seconds.
  it('ignores an old target state of the warm pool right after joining', async () => {
    const stage = setStage();
    const agent = stage.agent();
    while (stage.status()?.join.state !== 'joined') await stage.world.clock.run(100);
    stage.world.metadata.targetState = 'Warmed:Running';
    await stage.world.clock.run(3_000);
    stage.world.metadata.targetState = 'InService';
    await stage.world.clock.run(minute);
    expect(stage.deeds()).toEqual([]);
    stage.world.metadata.targetState = 'Warmed:Stopped';
    await stage.world.clock.run(3_000);
    expect(stage.own.status).toBe('DRAINING');
    await agent.stop();
  });

  it('merges a spot notice into a scale-in: the stricter deadline counts, and the hook is completed', async () => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 3600 } }));
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.group.begin('terminate');
    stage.world.metadata.targetState = 'Terminated';
    await run(5 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'tasks' });
    const interruption = stage.host.clock.now() + 120_000;
    stage.world.metadata.spotNotice = spotAt(interruption);
    await run(118_000);
    expect(stage.departure()).toMatchObject({ cause: 'spot', phase: 'done' });
    expect(stage.departure().deadline).toBeLessThan(interruption);
    expect(stage.deeds().filter((verb) => verb === 'drain')).toHaveLength(1);
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
    await agent.stop();
  });

  // Killed between the decision and the departure's first write, the next agent took the event as
  // handled and the node stayed ACTIVE.
  it('leaves although it was killed before it wrote down its decision', async () => {
    const { stage, run, agent } = await inService();
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.group.begin('terminate');
    stage.world.metadata.targetState = 'Terminated';
    await run(10_000);
    await agent.stop();
    stage.world.machine.files.delete(paths.departure);
    stage.own.status = 'ACTIVE';
    const again = stage.agent();
    await run(10_000);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.departure()).toMatchObject({ cause: 'scale-in' });
    await again.stop();
  });

  it('stays when its written decision was taken back afterwards', async () => {
    const { stage, run, agent } = await inService(configOf({ rebalance: { action: 'drain' } }));
    stage.world.metadata.rebalanceNotice = '2030-01-01T00:00:00Z';
    await run(10_000);
    const decided = String(stage.world.machine.files.get(paths.agent));
    await run(hour);
    expect(stage.departure().undoneAt).toBeTypeOf('number');
    await agent.stop();
    stage.world.machine.files.set(paths.agent, decided);
    const again = stage.agent();
    await run(minute);
    expect(stage.own.status).toBe('ACTIVE');
    await again.stop();
  });

  it('comes back when a stopped spot instance starts again', async () => {
    const { stage, run } = await inService();
    stage.world.metadata.spotNotice = spotAt(stage.host.clock.now() + 120_000, 'stop');
    await run(100_000);
    expect(stage.departure()).toMatchObject({ phase: 'done', returns: true });
    expect(stage.deregistered).toEqual([]);
    const host = stage.world.reboot();
    stage.world.metadata.spotNotice = undefined;
    const agent = stage.agent(host);
    await run(2 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.departure().undoneAt).toBeTypeOf('number');
    await agent.stop();
  });

  // The event behind its departure was over, but its group had begun to terminate it: the node
  // became ACTIVE while it left, and got tasks.
  it('stays away when its group ends the stopped spot instance', async () => {
    const { stage, run } = await inService();
    stage.world.metadata.spotNotice = spotAt(stage.host.clock.now() + 120_000, 'stop');
    await run(100_000);
    const host = stage.world.reboot();
    stage.world.metadata.spotNotice = undefined;
    stage.world.metadata.targetState = 'Terminated';
    stage.group.begin('terminate');
    // The one departure has begun, but not written it down yet, when the other is seen to be over.
    const { calls } = stage.world;
    calls.onCall = ({ verb }) => {
      if (verb === 'readTargetState') calls.delays('readBootId', 1_000, 1);
    };
    calls.delays('readSpotNotice', 500, 1);
    const agent = stage.agent(host);
    await stage.world.clock.finish(agent.done, hour);
    expect(stage.deeds()).not.toContain('activate');
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'done' });
  });

  // Killed before its status said when the order may be revoked, it woke up DRAINING and stayed so
  // for ever.
  it('comes back from hibernation although it was killed while it left', async () => {
    const { stage, run, agent } = await inService();
    stage.world.metadata.spotNotice = spotAt(stage.host.clock.now() + 1_000, 'hibernate');
    await run(60_000);
    expect(stage.own.status).toBe('DRAINING');
    await agent.stop();
    stage.world.machine.files.delete(paths.agent);
    stage.world.metadata.spotNotice = undefined;
    const again = stage.agent();
    const past = String(stage.world.machine.files.get(paths.departure)).replace('"done"', '"hook"');
    stage.world.machine.files.set(paths.departure, past);
    await run(6 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await again.stop();
  });

  it('comes back from hibernation in the same process', async () => {
    const { stage, run, agent } = await inService();
    stage.world.metadata.spotNotice = spotAt(stage.host.clock.now() + 1_000, 'hibernate');
    await run(60_000);
    expect(stage.own.status).toBe('DRAINING');
    stage.world.metadata.spotNotice = undefined;
    await run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });
});

describe('a full disk', () => {
  it('stops new tasks, removes images, and returns to service once that freed the disk', async () => {
    const { stage, run, agent } = await inService();
    stage.fillDisk(95);
    stage.world.docker.images.push(someImage('app:1', 1));
    stage.world.docker.onRemove = () => stage.fillDisk(50);
    await run(4 * minute);
    expect(stage.deeds()).toEqual(['queueToLeave', 'drain', 'removeImage']);
    expect(stage.own.status).toBe('DRAINING');
    await run(4 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.own.attributes.size).toBe(0);
    await run(hour);
    expect(stage.deeds()).toEqual(['queueToLeave', 'drain', 'removeImage', 'activate', 'unqueue']);
    expect(stage.world.docker.images.flatMap(({ names }) => names)).toEqual(['amazon/amazon-ecs-pause:0.1.0']);
    await agent.stop();
  });

  it('replaces the node when the disk stays full, after an orderly departure', async () => {
    const { stage, agent } = await inService();
    stage.fillDisk(95);
    const state = await stage.world.clock.finish(agent.done, hour);
    expect(state).toMatchObject({ cause: 'disk', phase: 'done' });
    expect(stage.deeds()).toEqual([
      'queueToLeave',
      'drain',
      'drain',
      'deregister',
      'tagSelf',
      'terminateInGroup',
      'completeHook',
    ]);
  });

  it('includes a disk without free inodes; a nearly full disk is not full', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.fillDisk(89);
    await run(hour);
    expect(stage.deeds()).toEqual([]);
    for (const [path, disk] of stage.world.machine.disks) {
      stage.world.machine.disks.set(path, { ...disk, freeInodes: disk.totalInodes * 0.05 });
    }
    await run(4 * minute);
    expect(stage.deeds()).toContain('drain');
    await agent.stop();
  });

  it('is treated on a few nodes of the fleet at a time; the others remove images and wait', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.world.docker.images.push(someImage('app:1', 1));
    for (let n = 0; n < 29; n++) stage.world.cluster.addInstance();
    const others = stage.world.cluster.instances.filter((instance) => instance !== stage.own).slice(0, 5);
    for (const other of others) other.attributes.set('ecs-node.leave.disk', '1');
    stage.fillDisk(95);
    await run(2 * hour);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.deeds()).toContain('removeImage');
    expect(stage.deeds()).not.toContain('drain');
    // With thirty nodes at 10 %, the third in the queue may leave.
    for (const other of others.slice(2)) other.attributes.clear();
    await run(2 * minute);
    expect(stage.own.status).toBe('DRAINING');
    await agent.stop();
  });

  // The call took 30 s. Another node had read the queue and left meanwhile. This node, with the
  // earlier entry, left too.
  it('makes a node queue again when its entry was written too late', async () => {
    const { stage, run, agent } = await inService();
    stage.world.docker.images.push(someImage('app:1', 1));
    stage.world.calls.delays('queueToLeave', 24_000, 1);
    stage.fillDisk(95);
    await run(5 * minute);
    expect(stage.deeds().slice(0, 5)).toEqual(['queueToLeave', 'unqueue', 'removeImage', 'queueToLeave', 'drain']);
    await agent.stop();
  });

  it('makes a node leave the queue once the disk is freed', async () => {
    const { stage, run, agent } = await inService();
    const other = stage.world.cluster.addInstance();
    other.attributes.set('ecs-node.leave.disk', '1');
    stage.fillDisk(95);
    await run(10 * minute);
    expect(stage.own.attributes.size).toBe(1);
    stage.fillDisk(40);
    await run(10 * minute);
    expect(stage.own.attributes.size).toBe(0);
    expect(stage.deeds()).not.toContain('drain');
    await agent.stop();
  });

  it('leaves no node DRAINING after a crash or a reboot of the agent', async () => {
    for (const again of ['restart', 'reboot'] as const) {
      const { stage, run } = await inService();
      stage.fillDisk(95);
      await run(4 * minute);
      expect(stage.own.status).toBe('DRAINING');
      const host = stage.world[again]();
      stage.fillDisk(40);
      const agent = stage.agent(host);
      await run(10 * minute);
      expect(stage.own.status).toBe('ACTIVE');
      expect(stage.own.attributes.size).toBe(0);
      await agent.stop();
    }
  });

  it('brings a leaving node back once it is freed, while nothing irrevocable was done', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(95);
    await run(9 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'disk', phase: 'tasks' });
    stage.fillDisk(40);
    await run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.departure().undoneAt).toBeTypeOf('number');
    await run(hour);
    expect(stage.world.instance.state).toBe('running');
    await agent.stop();
  });

  // The full disk did not record that the departure was called off. The next agent resumed it, and
  // the machine ended.
  it('ends no node when it is too full for the note that it was freed', async () => {
    const { stage, run, agent } = await inService(lazily());
    const task = stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(95);
    await run(9 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'disk', phase: 'tasks' });
    stage.world.calls.onCall = ({ verb, args }) => {
      if (verb === 'writeText' && args[0] === paths.departure) throw new Error('ENOSPC: no space left on device');
    };
    stage.fillDisk(40);
    await run(10 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    stage.world.calls.onCall = undefined;
    task.lastStatus = 'STOPPED';
    await agent.stop();
    const next = stage.agent(stage.world.restart());
    await run(hour);
    expect(stage.world.instance.state).toBe('running');
    expect(stage.own.status).toBe('ACTIVE');
    await next.stop();
  });

  it('does not undo the DRAINING that a person set', async () => {
    const stage = setStage(lazily());
    stage.own.status = 'DRAINING';
    const agent = stage.agent();
    await stage.world.clock.run(hour);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.status().join.state).toBe('joined');
    await agent.stop();
  });

  it('drains nothing when the node may not read the leave queue', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.world.calls.fails('readLeaveQueue', new Unavailable('throttled'));
    stage.fillDisk(99);
    await run(2 * hour);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });
});

describe('an operator', () => {
  let asked = 0;
  const ask = (stage: ReturnType<typeof setStage>, action: OperatorRequest['action'], terminate = true) => {
    const { instanceId } = stage.world.identity;
    const reason = 'maintenance of the rack';
    const request: OperatorRequest = { instanceId, id: `request-${++asked}`, action, reason, terminate, at: 0 };
    stage.world.machine.files.set(paths.request, renderState(request));
  };

  it('makes the node leave, or only drain, and stay again', async () => {
    const { stage, run, agent } = await inService();
    ask(stage, 'leave', false);
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.departure()).toMatchObject({ cause: 'operator', ending: 'remain', phase: 'done' });
    ask(stage, 'stay');
    await run(10_000);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.world.machine.files.has(paths.request)).toBe(false);
    ask(stage, 'leave');
    await stage.world.clock.finish(agent.done, hour);
    expect(stage.world.instance.state).toBe('shutting-down');
  });

  // No heartbeat kept the launch hook alive while the node was drained, and the group terminated a
  // node that should remain.
  it('drains a launching node without costing it its launch hook', async () => {
    const stage = setStage();
    stage.group.hooks[0]!.heartbeatSeconds = 120;
    stage.group.begin('launch');
    stage.own.agentConnected = false;
    const agent = stage.agent();
    await stage.world.clock.run(30_000);
    ask(stage, 'leave', false);
    await stage.world.clock.run(10 * minute);
    expect(stage.group.lifecycleState).toBe('Pending:Wait');
    stage.own.agentConnected = true;
    await stage.world.clock.run(minute);
    expect(stage.group.hooks[0]!.ended).toBe('CONTINUE');
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.world.instance.state).toBe('running');
    await agent.stop();
  });

  it('drains a node that cannot join, and keeps it during the investigation', async () => {
    const stage = setStage(configOf({ join: { timeoutSeconds: 120 } }));
    stage.group.begin('launch');
    stage.own.agentConnected = false;
    const agent = stage.agent();
    await stage.world.clock.run(30_000);
    ask(stage, 'leave', false);
    await stage.world.clock.run(2 * hour);
    expect(stage.status().join.state).not.toBe('joined');
    expect(stage.group.lifecycleState).toBe('Pending:Wait');
    expect(stage.world.instance.state).toBe('running');
    await agent.stop();
  });

  // The departure was over before ECS knew the node, which was ACTIVE and got tasks some seconds
  // later.
  it('drains a node before ECS knows it, or while ECS is silent', async () => {
    const stage = setStage();
    const { cluster } = stage.world;
    const [instances, localAgent] = [cluster.instances, stage.world.localAgent];
    [cluster.instances, stage.world.localAgent] = [[], undefined];
    const agent = stage.agent();
    await stage.world.clock.run(30_000);
    ask(stage, 'leave', false);
    await stage.world.clock.run(2 * minute);
    [cluster.instances, stage.world.localAgent] = [instances, localAgent];
    stage.world.calls.fails('drain', new Unavailable('throttled'));
    await stage.world.clock.run(hour);
    stage.world.calls.heals();
    // drain.ts polls every 15 s, and may just have begun the longest pause of such a poll.
    const { clock } = stage.world;
    const latest = clock.uptime() + slowingAfter(hour, 15_000) * 15_000;
    while (stage.own.status !== 'DRAINING' && clock.uptime() < latest) await clock.run(1_000);
    expect(stage.own.status).toBe('DRAINING');
    await clock.run(minute);
    expect(stage.departure()).toMatchObject({ ending: 'remain', phase: 'done' });
    await agent.stop();
  });

  it('ends a node that was drained while it launched, which also ends its joining', async () => {
    const stage = setStage(configOf({ join: { timeoutSeconds: 3600 } }));
    stage.group.begin('launch');
    stage.own.agentConnected = false;
    const agent = stage.agent();
    await stage.world.clock.run(30_000);
    ask(stage, 'leave', false);
    await stage.world.clock.run(minute);
    ask(stage, 'leave');
    await stage.world.clock.finish(agent.done, hour);
    expect(stage.world.instance.state).toBe('shutting-down');
    expect(stage.group.hooks[0]!.ended).toBe('ABANDON');
  });

  it('keeps a node that leaves for a full disk, until the disk was well again', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(95);
    await run(9 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'disk', phase: 'tasks' });
    ask(stage, 'stay');
    await run(3 * hour);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.world.instance.state).toBe('running');
    await agent.stop();
  });

  it('keeps a node DRAINING although its disk, which drained it too, is freed', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(95);
    await run(9 * minute);
    ask(stage, 'leave', false);
    await run(minute);
    expect(stage.departure()).toMatchObject({ cause: 'disk', phase: 'tasks' });
    stage.fillDisk(40);
    await run(hour);
    expect(stage.departure()).toMatchObject({ cause: 'operator', ending: 'remain' });
    expect(stage.deeds()).not.toContain('activate');
    expect(stage.world.instance.state).toBe('running');
    ask(stage, 'stay');
    await run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.own.attributes.size).toBe(0);
    await agent.stop();
  });

  // Its disk was freed while a person kept it drained. When nearly full again, the node was
  // terminated as if it had never been freed.
  it('keeps a node drained while its disk is freed, and again when the disk is nearly full', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.fillDisk(94);
    await run(4 * minute);
    expect(stage.deeds()).toContain('queueToLeave');
    ask(stage, 'leave', false);
    stage.fillDisk(54);
    await run(10 * minute);
    stage.fillDisk(82);
    await run(hour);
    expect(stage.departure()).toMatchObject({ cause: 'operator', ending: 'remain' });
    expect(stage.world.instance.state).toBe('running');
    expect(stage.own.status).toBe('DRAINING');
    ask(stage, 'stay');
    await run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.own.attributes.size).toBe(0);
    await agent.stop();
  });

  // The restart counted as a drain. After `stay`, no part of the agent set the node ACTIVE again.
  it('brings a node back although its ECS agent was restarted meanwhile', async () => {
    const { stage, run, agent } = await inService();
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    ask(stage, 'leave');
    await run(minute);
    stage.own.agentConnected = false;
    stage.world.localAgent = undefined;
    await run(7 * minute);
    expect(stage.world.machine.restarted).toContain('ecs.service');
    stage.own.agentConnected = true;
    stage.world.localAgent = { cluster: 'demo', containerInstanceArn: stage.own.arn, version: '1' };
    await run(10_000);
    ask(stage, 'stay');
    await run(minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it('leaves no node DRAINING after "stay", or after a maintenance that EC2 withdrew, when the ECS agent restarted', async () => {
    const { stage, run, agent } = await inService(configOf({ ecsAgent: { action: 'restart' } }));
    const { metadata, cluster, machine } = stage.world;
    cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    const notBefore = stage.host.clock.now() + hour;
    metadata.maintenance = [
      { id: 'event-1', code: 'instance-retirement', state: 'active', notBefore, description: '' },
    ];
    [stage.own.agentConnected, stage.world.localAgent] = [false, undefined];
    await run(8 * minute);
    expect(machine.restarted).toContain('ecs.service');
    expect(stage.own.status).toBe('DRAINING');
    metadata.maintenance = [];
    await run(3 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it('cannot keep a node that Auto Scaling takes', async () => {
    const { stage, run, agent } = await inService();
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 2 * minute });
    stage.group.begin('terminate');
    stage.world.metadata.targetState = 'Terminated';
    await run(30_000);
    ask(stage, 'stay');
    await stage.world.clock.finish(agent.done, hour);
    expect(stage.deeds()).not.toContain('activate');
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
  });

  // It had left its registrar, but its disk was well again: it became ACTIVE, and got tasks that
  // ended with it.
  it('comes too late for a node that left its registrar, which then gets no tasks', async () => {
    const { stage, run } = await inService();
    const { calls, instance } = stage.world;
    calls.delays('close', 30_000, 1);
    calls.onCall = ({ verb }) => {
      if (verb === 'close') ask(stage, 'stay');
    };
    stage.fillDisk(95);
    await run(15 * minute);
    expect(instance.state).toBe('shutting-down');
    expect(stage.world.machine.files.has(paths.request)).toBe(false);
    expect(stage.deeds()).not.toContain('activate');
  });

  // The drain call was still under way when the node became ACTIVE: it stayed DRAINING for ever.
  it('keeps a node while its disk is being treated', async () => {
    const { stage, run, agent } = await inService(configOf({ disk: { leave: false } }));
    stage.world.calls.delays('drain', 10_000, 1);
    stage.world.calls.onCall = ({ verb }) => {
      if (verb === 'drain') ask(stage, 'stay');
    };
    stage.fillDisk(95);
    await run(hour);
    expect(stage.deeds()).toContain('drain');
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.own.attributes.size).toBe(0);
    await agent.stop();
  });

  it('keeps a node while it waits in the leave queue', async () => {
    const { stage, run, agent } = await inService();
    [stage.own.agentConnected, stage.world.localAgent] = [false, undefined];
    stage.world.calls.onCall = ({ verb }) => {
      if (verb === 'queueToLeave') ask(stage, 'stay');
    };
    await run(hour);
    expect(stage.deeds()).toContain('queueToLeave');
    expect(stage.deeds()).not.toContain('drain');
    expect(stage.world.instance.state).toBe('running');
    await agent.stop();
  });

  // The disk kept the node DRAINING until a person called it off. A reboot event that came and was
  // withdrawn later kept it DRAINING for ever.
  it('keeps a node in service in spite of its disk, also after a withdrawn maintenance', async () => {
    const { stage, run, agent } = await inService(configOf({ disk: { leave: false } }));
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(95);
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    ask(stage, 'stay');
    await run(10_000);
    expect(stage.own.status).toBe('ACTIVE');
    stage.world.metadata.maintenance = [
      {
        id: 'event-1',
        code: 'instance-retirement',
        state: 'active',
        notBefore: stage.host.clock.now() + hour,
        description: '',
      },
    ];
    await run(3 * minute);
    expect(stage.own.status).toBe('DRAINING');
    stage.world.metadata.maintenance = [];
    await run(3 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  // After the stop it came back DRAINING and in no registrar, and was neither terminated nor
  // brought back.
  it.each([true, false])(
    'is obeyed after a spot stop that took over the departure, as long as the request stands: %s',
    async (stands) => {
      const { stage, run } = await inService();
      stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
      ask(stage, 'leave');
      await run(10_000);
      stage.world.metadata.spotNotice = { action: 'stop', at: stage.host.clock.now() + 120_000 };
      await run(110_000);
      expect(stage.departure()).toMatchObject({ cause: 'spot', ending: 'await' });
      expect(stage.departure().returns).toBeUndefined();
      stage.world.metadata.spotNotice = undefined;
      if (!stands) stage.world.machine.files.delete(paths.request);
      const agent = stage.agent(stage.world.reboot());
      await run(15 * minute);
      expect(stage.deeds().includes('terminateInGroup')).toBe(stands);
      expect(stage.deeds().includes('activate')).toBe(!stands);
      await agent.stop();
    },
  );

  it('is obeyed after a reboot, and a departure called off before is not begun again', async () => {
    const { stage, run } = await inService();
    ask(stage, 'leave', false);
    await run(minute);
    const host = stage.world.reboot();
    const agent = stage.agent(host);
    await run(2 * minute);
    expect(stage.own.status).toBe('DRAINING');
    ask(stage, 'stay');
    await run(minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });
});

describe('the agent, told of an event by EC2,', () => {
  const event = (more: object = {}) => ({
    id: 'instance-event-1',
    code: 'system-reboot',
    state: 'active' as const,
    description: 'scheduled',
    ...more,
  });

  it('only logs a rebalance, or drains for a time when configured and nothing follows', async () => {
    const log = await inService(lazily());
    log.stage.world.metadata.rebalanceNotice = '2030-01-01T00:10:00Z';
    await log.run(10 * minute);
    expect(log.stage.deeds()).toEqual([]);
    await log.agent.stop();

    const { stage, run, agent } = await inService(
      lazily({ rebalance: { action: 'drain', undoSeconds: 600, pollSeconds: 30 } }),
    );
    stage.world.metadata.rebalanceNotice = '2030-01-01T00:10:00Z';
    await run(9 * minute);
    expect(stage.own.status).toBe('DRAINING');
    await run(2 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await run(3 * hour);
    expect(stage.deeds()).toEqual(['drain', 'activate']);
    await agent.stop();
    const again = stage.agent(stage.world.reboot());
    await run(hour);
    expect(stage.deeds()).toEqual(['drain', 'activate']);
    await again.stop();
  });

  it('keeps the departure for a rebalance when a spot interruption followed', async () => {
    const { stage, run, agent } = await inService(
      lazily({ rebalance: { action: 'drain', undoSeconds: 600, pollSeconds: 30 } }),
    );
    stage.world.metadata.rebalanceNotice = '2030-01-01T00:10:00Z';
    await run(9 * minute);
    stage.world.metadata.spotNotice = spotAt(stage.host.clock.now() + 120_000);
    await run(119_000);
    expect(stage.departure()).toMatchObject({ cause: 'spot' });
    await run(10 * minute);
    expect(stage.deeds()).not.toContain('activate');
    await agent.stop();
  });

  it('gives a reboot its lead time, and a retirement none', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.world.metadata.maintenance = [event({ notBefore: stage.host.clock.now() + 5 * hour })];
    await run(2 * hour);
    expect(stage.own.status).toBe('ACTIVE');
    await run(hour + 5 * minute);
    expect(stage.deeds()[0]).toBe('drain');
    await stage.world.clock.finish(agent.done, 2 * hour);

    const other = await inService(lazily());
    other.stage.world.metadata.maintenance = [
      event({ code: 'instance-retirement', notBefore: other.stage.host.clock.now() + 300 * hour }),
    ];
    await other.run(2 * minute);
    expect(other.stage.own.status).toBe('DRAINING');
    await other.agent.stop();
  });

  it('brings the node back when EC2 cancels the event', async () => {
    const { stage, run, agent } = await inService();
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.world.metadata.maintenance = [event({ code: 'instance-stop' })];
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    stage.world.metadata.maintenance = [event({ code: 'instance-stop', state: 'canceled' })];
    await run(2 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  // The metadata service omitted the notice for a minute. Listed again, it counted as handled, and
  // EC2 took the machine from under its tasks.
  it('obeys an event again when EC2 lists it again, also after a kill and by a new agent', async () => {
    for (const how of ['same', 'stopped', 'killed'] as const) {
      const { stage, run, agent } = await inService();
      const { cluster, metadata, calls } = stage.world;
      cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
      const listed = [event({ code: 'instance-stop' })];
      metadata.maintenance = listed;
      await run(5 * minute);
      calls.onCall = ({ verb, args }) => {
        if (how === 'killed' && verb === 'writeText' && String(args[1]).includes('"undoneAt"'))
          calls.crashAt(1, 'after');
      };
      metadata.maintenance = [];
      await run(2 * minute);
      expect(stage.own.status).toBe('ACTIVE');
      calls.onCall = undefined;
      if (how === 'stopped') await agent.stop();
      const next = how === 'same' ? agent : stage.agent(how === 'killed' ? stage.world.restart() : stage.host);
      metadata.maintenance = listed;
      await run(5 * minute);
      expect(stage.own.status).toBe('DRAINING');
      await next.stop();
    }
  });
});

describe('an ECS agent', () => {
  const disconnect = (stage: ReturnType<typeof setStage>) => {
    stage.own.agentConnected = false;
    stage.world.localAgent = undefined;
  };

  it('is restarted twice when it is gone, and then the node is replaced', async () => {
    const { stage, run, agent } = await inService();
    disconnect(stage);
    await run(4 * minute);
    expect(stage.world.machine.restarted).toEqual([]);
    await run(3 * minute);
    expect(stage.world.machine.restarted).toEqual(['ecs.service']);
    const state = await stage.world.clock.finish(agent.done, 2 * hour);
    expect(stage.world.machine.restarted).toEqual(['ecs.service', 'ecs.service']);
    expect(state?.cause).toBe('ecs-agent');
  });

  it('is restarted when systemd reports it as failed, whatever ECS says', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.world.docker.state = 'dead';
    stage.world.machine.units.set('docker.service', 'failed');
    await run(8 * minute);
    expect(stage.world.machine.restarted).toContain('docker.service');
    await agent.stop();
  });

  it('harms no node when it came back after a restart', async () => {
    const { stage, run, agent } = await inService(lazily());
    disconnect(stage);
    await run(7 * minute);
    stage.own.agentConnected = true;
    stage.world.localAgent = { cluster: 'demo', containerInstanceArn: stage.own.arn, version: '1' };
    await run(3 * hour);
    expect(stage.world.machine.restarted).toHaveLength(1);
    expect(stage.world.instance.state).toBe('running');
    await agent.stop();
  });

  it('is restarted during an outage of the cluster, which ends no node', async () => {
    const { stage, run, agent } = await inService(lazily());
    for (let n = 0; n < 9; n++) stage.world.cluster.addInstance({ agentConnected: n >= 4 });
    disconnect(stage);
    await run(2 * hour);
    expect(new Set(stage.world.machine.restarted)).toEqual(new Set(['ecs.service']));
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.world.instance.state).toBe('running');
    await agent.stop();
  });

  it('is noticed when it answers locally but ECS calls it disconnected, with few calls while all is well', async () => {
    const { stage, run, agent } = await inService(lazily());
    await run(hour);
    expect(stage.world.calls.of('readContainerInstance').length).toBeLessThanOrEqual(7);
    stage.own.agentConnected = false;
    await run(20 * minute);
    expect(stage.world.machine.restarted.length).toBeGreaterThan(0);
    await agent.stop();
  });
});

describe('termination protection', () => {
  it('is cleared whenever it comes back, and ends no node', async () => {
    const stage = setStage(configOf({ registrar: 'opsworks', opsworks: { stack: 's', layer: 'l' } }));
    const agent = stage.agent();
    for (let n = 0; n < 3; n++) {
      stage.world.instance.terminationProtection = true;
      await stage.world.clock.run(6 * minute);
      expect(stage.world.instance.terminationProtection).toBe(false);
    }
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });
});

describe('a Docker that does not answer while the ECS agent stays connected', () => {
  it('is restarted twice, and the node is replaced when ECS also reports it as impaired', async () => {
    const { stage, run, agent } = await inService();
    stage.world.docker.state = 'hung';
    stage.own.runtimeHealth = 'IMPAIRED';
    await run(4 * minute);
    expect(stage.world.machine.restarted).toEqual([]);
    expect(stage.status().watchers['docker']).toMatchObject({ finding: 'ailing', reason: 'Docker does not answer' });
    await run(3 * minute);
    expect(stage.world.machine.restarted).toEqual(['docker.service']);
    const state = await stage.world.clock.finish(agent.done, 2 * hour);
    expect(stage.world.machine.restarted).toEqual(['docker.service', 'docker.service']);
    expect(state?.cause).toBe('docker');
  });

  it.each(['OK', undefined, 'INSUFFICIENT_DATA'])(
    'costs the node nothing while systemd runs it and ECS says %s: its socket is one source alone',
    async (runtimeHealth) => {
      const { stage, run, agent } = await inService(lazily());
      stage.world.docker.state = 'dead';
      if (runtimeHealth === undefined) delete stage.own.runtimeHealth;
      else stage.own.runtimeHealth = runtimeHealth;
      await run(3 * hour);
      expect(stage.world.instance.state).toBe('running');
      expect(stage.own.status).toBe('ACTIVE');
      expect(stage.status().watchers['docker']?.error).toMatch(
        /docker.service is active and ECS says that the container runtime is .*: it is not restarted/,
      );
      expect(stage.world.machine.restarted).toEqual([]);
      await agent.stop();
    },
  );

  it('is not restarted when it never answered since the agent started, unless ECS reports it as impaired', async () => {
    const { stage, run, agent } = await inService(lazily(), ({ world }) => (world.docker.state = 'dead'));
    await run(hour);
    expect(stage.world.machine.restarted).toEqual([]);
    expect(stage.status().watchers['docker']).toMatchObject({ finding: 'unknown' });
    stage.own.runtimeHealth = 'IMPAIRED';
    await run(30 * minute);
    expect(stage.world.machine.restarted).toContain('docker.service');
    await agent.stop();
  });

  it('is restarted when systemd reports it as failed, whatever ECS says', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.world.docker.state = 'dead';
    stage.world.machine.units.set('docker.service', 'failed');
    await run(8 * minute);
    expect(stage.world.machine.restarted).toContain('docker.service');
    await agent.stop();
  });

  it('harms no node when it came back after a restart', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.world.docker.state = 'hung';
    stage.own.runtimeHealth = 'IMPAIRED';
    await run(7 * minute);
    expect(stage.world.machine.restarted).toEqual(['docker.service']);
    stage.world.docker.state = 'well';
    stage.own.runtimeHealth = 'OK';
    await run(3 * hour);
    expect(stage.world.machine.restarted).toHaveLength(1);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it('is only logged with docker.action: log', async () => {
    const { stage, run, agent } = await inService(lazily({ docker: { action: 'log' } }));
    stage.world.docker.state = 'dead';
    stage.own.runtimeHealth = 'IMPAIRED';
    await run(hour);
    expect(stage.world.machine.restarted).toEqual([]);
    expect(stage.world.log.filter(({ message }) => message === 'noticed')).toHaveLength(1);
    await agent.stop();
  });
});
