import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { poll } from '../../../core/poll.ts';
import { someHook } from '../../fakes/cloud/group.ts';
import { openFakeHost } from '../../fakes/host.ts';
import { someConfirmed } from '../../fakes/confirmed.ts';

const signal = new AbortController().signal;

describe('the in-memory host', () => {
  it('moves its clock by hours in milliseconds', async () => {
    const { host, world, clock } = openFakeHost();
    clock.schedule(3_600_000, () => void world.joinCluster());
    const seen = poll('the agent', (s) => host.ecsAgent.readAgent(s), {
      clock: host.clock,
      signal,
      withinMs: 7_200_000,
      everyMs: 5_000,
    });
    expect(await clock.finish(seen)).toMatchObject({ cluster: 'demo' });
  });

  it('fails when the work waits for something that never comes', async () => {
    const { host, world, clock } = openFakeHost();
    world.calls.hangs('readPing');
    await expect(clock.finish(host.cloud.readPing(signal))).rejects.toThrow('stuck');
  });

  it('refuses what ECS, OpsWorks, EC2 and Auto Scaling refuse', async () => {
    const { host, world } = openFakeHost();
    const { cloud } = host;
    world.instance.terminationProtection = true;
    await expect(cloud.drain('demo', 'arn:unknown', signal)).rejects.toBeInstanceOf(Refused);
    await expect(cloud.drain('other', 'arn:unknown', signal)).rejects.toMatchObject({
      code: 'ClusterNotFoundException',
    });
    await expect(cloud.terminateSelf(someConfirmed, signal)).rejects.toMatchObject({ code: 'OperationNotPermitted' });
    await expect(cloud.terminateInGroup(someConfirmed, signal)).rejects.toMatchObject({ code: 'ValidationError' });
    const record = {
      id: 'r',
      stackId: world.opsworks.stacks[0]!.id,
      ec2InstanceId: world.identity.instanceId,
      hostname: 'a',
      status: 'registering',
      layerIds: [],
    };
    world.opsworks.records.push(record);
    await expect(cloud.assign('r', world.opsworks.layers[0]!.id, signal)).rejects.toThrow('only a registered one');
  });

  it('completes a hook only while it is active, and lets a forgotten one time out', async () => {
    const { host, world, clock } = openFakeHost();
    const group = world.joinGroup('web');
    group.hooks.push(someHook('leave', 'terminate', { heartbeatSeconds: 60, defaultResult: 'CONTINUE' }));
    expect(await host.cloud.completeHook('web', 'leave', 'CONTINUE', signal)).toBe(false);
    group.begin('terminate');
    await clock.run(50_000);
    expect(await host.cloud.heartbeat('web', 'leave', signal)).toBe(true);
    await clock.run(50_000);
    expect(group.lifecycleState).toBe('Terminating:Wait');
    await clock.run(10_001);
    expect(group).toMatchObject({ lifecycleState: 'Terminating:Proceed', hooks: [{ ended: 'timeout' }] });
    expect(world.instance.state).toBe('shutting-down');
  });

  // The launch hook timed out an hour after the termination had begun, and began it once more.
  it('ends a launch hook that waits when its group terminates the instance', async () => {
    const { host, world, clock } = openFakeHost();
    const group = world.joinGroup('web');
    group.hooks.push(someHook('join', 'launch', { heartbeatSeconds: 60 }), someHook('leave', 'terminate'));
    group.begin('launch');
    expect(await host.cloud.heartbeat('web', 'join', signal)).toBe(true);
    group.begin('terminate');
    expect(await host.cloud.heartbeat('web', 'join', signal)).toBe(false);
    await clock.run(300_001);
    expect(group).toMatchObject({ lifecycleState: 'Terminating:Proceed', hooks: [{}, { ended: 'timeout' }] });
  });

  it('dies before or after the effect of a call, and makes no further one', async () => {
    for (const when of ['before', 'after'] as const) {
      const { host, world, clock } = openFakeHost();
      world.calls.crashAt(2, when);
      const work = (async () => {
        await host.machine.writeText('/a', '1');
        await host.machine.writeText('/b', '2');
        await host.machine.writeText('/c', '3');
        return 'ended';
      })();
      expect(await clock.finish(Promise.race([work, world.calls.crashed()]))).toBe('crashed');
      expect([...world.machine.files.keys()]).toEqual(when === 'before' ? ['/a'] : ['/a', '/b']);
      const again = world.restart();
      await again.machine.writeText('/c', '3');
      expect(world.machine.files.get('/c')).toBe('3');
    }
  });

  it('fails, loses answers and takes time as often as ordered, and records every call', async () => {
    const { host, world, clock } = openFakeHost();
    world.calls.fails('tagSelf', new Unavailable('throttled'), 1);
    world.calls.losesAnswer('tagSelf', new Unavailable('timed out'), 1);
    world.calls.delays('tagSelf', 500);
    await expect(clock.finish(host.cloud.tagSelf({ a: '1' }, signal))).rejects.toThrow('throttled');
    expect(world.instance.tags).toEqual({});
    await expect(clock.finish(host.cloud.tagSelf({ a: '1' }, signal))).rejects.toThrow('timed out');
    expect(world.instance.tags).toEqual({ a: '1' });
    await clock.finish(host.cloud.tagSelf({ a: '2' }, signal));
    expect(world.calls.of('tagSelf').map(({ at, args }) => [at, args])).toEqual([
      [1000, [{ a: '1' }]],
      [1500, [{ a: '1' }]],
      [2000, [{ a: '2' }]],
    ]);
  });
});
