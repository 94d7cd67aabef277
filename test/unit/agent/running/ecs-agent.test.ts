import { describe, expect, it } from 'vitest';
import { lazily, type setStage } from '../stage.ts';
import { minute, hour, inService } from './in-service.ts';

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
