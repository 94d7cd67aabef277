import { describe, expect, it } from 'vitest';
import { minute, denied, inService } from './in-service.ts';

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
