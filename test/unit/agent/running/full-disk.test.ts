import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import { paths } from '../../../../core/state/state.ts';
import { groupTag } from '../../../../upkeep/group-tag.ts';
import { someImage } from '../../../fakes/docker.ts';
import { configOf, lazily, setStage } from '../stage.ts';
import { minute, hour, inService } from './in-service.ts';

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

  // The answer of the leave queue came after the departure had set DRAINING. The node then set
  // ACTIVE, and got tasks while its group ended it.
  it('does not bring a node back that begins to leave meanwhile', async () => {
    const { stage, run, agent } = await inService();
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(95);
    await run(3 * minute);
    expect(stage.own.status).toBe('DRAINING');
    stage.fillDisk(40);
    stage.world.calls.delays('readLeaveQueue', 25_000, 1);
    stage.world.calls.onCall = ({ verb }) => {
      if (verb !== 'readLeaveQueue') return;
      stage.group.begin('terminate');
      stage.world.metadata.targetState = 'Terminated';
    };
    await run(4 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'tasks' });
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.deeds()).not.toContain('activate');
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
    expect(stage.world.machine.files.has(paths.departure)).toBe(false);
    stage.world.calls.onCall = undefined;
    task.lastStatus = 'STOPPED';
    await agent.stop();
    const next = stage.agent(stage.world.restart());
    await run(hour);
    expect(stage.world.instance.state).toBe('running');
    expect(stage.own.status).toBe('ACTIVE');
    await next.stop();
  });

  // The disk was freed minutes later, and nothing wrote the departure again. A kill forgot it: the
  // node stayed DRAINING.
  it.each([
    ['waits for tasks', 'tasks'],
    ['is done', 'done'],
  ])('keeps a departure that %s once it takes the file again', async (_what, phase) => {
    const { stage, run, agent } = await inService(lazily({ rebalance: { action: 'drain' } }));
    const { calls, cluster, machine, metadata } = stage.world;
    if (phase === 'tasks') cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    calls.onCall = ({ verb, args }) => {
      if (verb === 'writeText' && args[0] === paths.departure) throw new Unavailable('ENOSPC: no space left on device');
    };
    const writes = () => calls.of('writeText').filter(({ args }) => args[0] === paths.departure).length;
    metadata.rebalanceNotice = '2030-01-01T00:00:00Z';
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    expect(machine.files.has(paths.departure)).toBe(false);
    expect(writes()).toBeLessThan(30);
    calls.onCall = undefined;
    await run(minute);
    expect(stage.departure()).toMatchObject({ phase, drainedAt: expect.any(Number) as unknown });
    const written = writes();
    await run(5 * minute);
    expect(writes()).toBe(written);
    await agent.stop();
  });

  // Each write that hangs occupies a thread, and four of them keep the node from reaching AWS.
  it('is given no second write of a departure while the first one hangs', async () => {
    const { stage, run, agent } = await inService(lazily());
    const { calls, cluster, metadata } = stage.world;
    cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.group.begin('terminate');
    metadata.targetState = 'Terminated';
    calls.delays('writeText', 10 * minute);
    const writes = () => calls.of('writeText').filter(({ args }) => args[0] === paths.departure).length;
    await run(minute);
    const written = writes();
    await run(5 * minute);
    expect(writes()).toBe(written);
    calls.heals();
    await run(hour);
    await agent.stop();
  });

  // Every other node of the cluster with a full disk waited behind it.
  it.each([
    ['leaves', 8, true],
    ['is drained', 3, false],
    ['waits for its turn', 6, false],
  ])('holds no place in the leave queue while a person keeps the node that %s', async (what, minutes, isLeaving) => {
    const { stage, run, agent } = await inService(lazily());
    const { world, own } = stage;
    const other = world.cluster.addInstance();
    if (what === 'waits for its turn') other.attributes.set('ecs-node.leave.disk', '1');
    world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(95);
    await run(minutes * minute);
    expect(world.machine.files.has(paths.departure)).toBe(isLeaving);
    expect([...own.attributes.keys()]).toEqual(['ecs-node.leave.disk']);
    world.metadata.tags = { [groupTag]: 'web', 'ecs-node:keep': '' };
    await run(hour);
    expect(own.status).toBe('ACTIVE');
    expect(own.attributes.size).toBe(0);
    // It queues again before it leaves.
    world.calls.list.length = 0;
    other.attributes.clear();
    world.metadata.tags = { [groupTag]: 'web' };
    await run(2 * hour);
    expect(stage.departure()).toMatchObject({ cause: 'disk', phase: 'done' });
    expect(stage.deeds().slice(0, 2)).toEqual(['queueToLeave', 'drain']);
    await agent.stop();
  });

  // The other nodes waited until the node asked again, a quarter of an hour later.
  it('holds no place in the leave queue once its departure is taken back', async () => {
    const { stage, run, agent } = await inService(lazily({ leave: { drainSeconds: 300 } }));
    const { world, own } = stage;
    world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(95);
    await run(8 * minute);
    world.metadata.tags = { [groupTag]: 'web', 'ecs-node:keep': '' };
    for (let minutes = 0; minutes < 60 && stage.departure().undoneAt === undefined; minutes++) await run(minute);
    await run(minute);
    expect(own.status).toBe('ACTIVE');
    expect(own.attributes.size).toBe(0);
    await agent.stop();
  });

  // "Not queued" must last for a minute, which counted from an earlier full disk.
  it('is over for a node that could not queue hours before, whatever ECS says once', async () => {
    const stage = setStage(configOf({ ecsAgent: { action: 'log' } }));
    const { world, own, host } = stage;
    const untold = new Set<string>();
    const { readLeaveQueue, readContainerInstance } = host.cloud;
    host.cloud.readLeaveQueue = async (...all) => {
      const queue = await readLeaveQueue(...all);
      return untold.delete('queue') ? queue.filter(({ arn }) => arn !== own.arn) : queue;
    };
    host.cloud.readContainerInstance = async (...all) => {
      const record = await readContainerInstance(...all);
      return record !== undefined && untold.delete('record') ? { ...record, queuedFor: [] } : record;
    };
    const agent = stage.agent();
    const run = (ms: number) => world.clock.run(ms);
    await run(minute);
    world.calls.fails('queueToLeave', new Unavailable('Rate exceeded'));
    stage.fillDisk(97);
    await run(5 * minute);
    world.calls.heals();
    stage.fillDisk(20);
    await run(2 * hour);
    expect(own.status).toBe('ACTIVE');
    world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(97);
    for (let n = 0; n < 60 && own.status !== 'DRAINING'; n++) await run(5_000);
    expect(own.status).toBe('DRAINING');
    for (const what of ['queue', 'record']) untold.add(what);
    stage.fillDisk(20);
    await run(4 * minute);
    expect(untold.size).toBe(0);
    expect(own.status).toBe('ACTIVE');
    await agent.stop();
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
