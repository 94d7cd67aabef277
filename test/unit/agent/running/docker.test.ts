import { describe, expect, it } from 'vitest';
import { lazily, type Stage } from '../stage.ts';
import { minute, hour, inService } from './in-service.ts';

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

  // A restart ends the containers, and the questions before it may take minutes.
  it('is not restarted when it answers again while the node asks about it', async () => {
    const { stage, run, agent } = await inService();
    const { world } = stage;
    stage.own.runtimeHealth = 'IMPAIRED';
    world.docker.state = 'hung';
    world.calls.onCall = ({ verb }) => {
      if (verb === 'readOwnTags') world.docker.state = 'well';
    };
    await run(20 * minute);
    expect(world.docker.state).toBe('well');
    expect(world.machine.restarted).toEqual([]);
    await agent.stop();
  });

  // ECS agents connect anew several times an hour, and a replica may be behind.
  const once = async ({ world: { calls, clock } }: Stage, say: () => void, unsay: () => void) => {
    const asked = () => calls.of('readContainerInstance').length;
    const before = asked();
    say();
    while (asked() === before) await clock.run(100);
    unsay();
  };

  it.each([
    ['is disconnected', ({ own }: Stage) => void (own.agentConnected = false)],
    ['reports the container runtime as impaired', ({ own }: Stage) => void (own.runtimeHealth = 'IMPAIRED')],
    ['is connected and reports nothing (control)', () => {}],
  ])('is not restarted when one answer of ECS says that its agent %s', async (_what, say) => {
    const { stage, run, agent } = await inService();
    stage.world.docker.state = 'hung';
    await run(7 * minute);
    await once(
      stage,
      () => say(stage),
      () => Object.assign(stage.own, { agentConnected: true, runtimeHealth: 'OK' }),
    );
    await run(10 * minute);
    expect(stage.world.machine.restarted).toEqual([]);
    await agent.stop();
  });

  it('is not restarted while ECS has its agent disconnected for 50 s', async () => {
    const { stage, run, agent } = await inService();
    stage.world.docker.state = 'hung';
    stage.world.localAgent = undefined;
    await run(7 * minute);
    stage.own.agentConnected = false;
    await run(50_000);
    stage.own.agentConnected = true;
    await run(10 * minute);
    expect(stage.world.machine.restarted).not.toContain('docker.service');
    await agent.stop();
  });

  it('does not drain its node for one answer of ECS that reports it as impaired', async () => {
    const { stage, run, agent } = await inService(lazily({ docker: { restarts: 0 } }));
    stage.world.docker.state = 'hung';
    await run(7 * minute);
    await once(
      stage,
      () => (stage.own.runtimeHealth = 'IMPAIRED'),
      () => (stage.own.runtimeHealth = 'OK'),
    );
    await run(10 * minute);
    expect(stage.deeds()).toEqual([]);
    await agent.stop();
  });

  it.each([
    ['that does not answer on the machine either', undefined, 2],
    ['that still names its record on the machine', 'named', 17],
  ])(
    'is restarted for an ECS agent %s, only after ECS has had it disconnected for long',
    async (_what, port, after) => {
      const { stage, run, agent } = await inService(
        lazily({ ecsAgent: { action: 'log' }, docker: { pollSeconds: 30 } }),
      );
      const { world } = stage;
      if (port === undefined) world.localAgent = undefined;
      world.docker.state = 'hung';
      await run(7 * minute);
      stage.own.agentConnected = false;
      await run((after - 1.5) * minute);
      expect(world.machine.restarted).toEqual([]);
      await run(2 * minute);
      expect(world.machine.restarted).toEqual(['docker.service']);
      await agent.stop();
    },
  );

  it('is restarted when systemd reports it as failed, whatever ECS says', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.world.docker.state = 'dead';
    stage.world.machine.units.set('docker.service', 'failed');
    await run(8 * minute);
    expect(stage.world.machine.restarted).toContain('docker.service');
    // But it ends no node that ECS calls healthy.
    await run(3 * hour);
    expect(stage.status().watchers['docker']?.error).toMatch(/: the node stays$/);
    expect(stage.own.status).toBe('ACTIVE');
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
