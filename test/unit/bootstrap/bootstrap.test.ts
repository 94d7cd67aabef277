import { describe, expect, it } from 'vitest';
import { bootstrap } from '../../../bootstrap/bootstrap.ts';
import { Refused, Unavailable, exitCode } from '../../../core/errors.ts';
import { paths, type BootstrapState } from '../../../core/state/state.ts';
import { layerId, opsworksConfig, plainConfig, setStage, signal, stackId, traces } from './stage.ts';

const outcomesOf = ({ steps }: BootstrapState) => Object.fromEntries(steps.map(({ name, state }) => [name, state]));

describe('a bootstrap', () => {
  it('registers, assigns, names and unprotects a node with OpsWorks', async () => {
    const { world, boot } = setStage(opsworksConfig());
    const state = await boot();
    expect(state).toMatchObject({
      outcome: 'done',
      attempts: 1,
      hostname: 'ecs-1',
      registered: { registrar: 'opsworks', stackId, layerId },
    });
    expect(outcomesOf(state)).toMatchObject({
      preflight: 'unchanged',
      'ecs-config': 'changed',
      'ohai-hint': 'changed',
      hostname: 'changed',
      'name-tag': 'changed',
      register: 'changed',
      assign: 'changed',
      unprotect: 'changed',
    });
    expect(world.machine.files.get(paths.ecsConfig)).toContain('\nECS_CLUSTER=demo\n');
    expect(world.machine.files.get(paths.ohaiHint)).toBe('');
    expect(world.instance).toMatchObject({ tags: { Name: 'demo ECS - ecs-1' }, terminationProtection: false });
    expect(world.opsworks.records).toMatchObject([{ hostname: 'ecs-1', layerIds: [layerId] }]);
    expect(world.machine.console).toContain('ecs-node: ecs-config: changed (0.0 s)');
    // The installer's folder holds a private key's passphrase and the like.
    expect([...world.machine.files.keys()].filter((path) => path.startsWith(paths.unpacked))).toEqual([]);
  });

  it('changes nothing when it runs again, and makes few calls', async () => {
    const { world, boot } = setStage(opsworksConfig());
    await boot();
    world.metadata.tags = { Name: 'demo ECS - ecs-1' };
    const before = traces(world);
    const calls = world.calls.list.length;
    const again = await boot(world.reboot());
    expect(traces(world)).toEqual(before);
    expect(again.steps.map(({ state }) => state)).toEqual(again.steps.map(() => 'unchanged'));
    const asked = world.calls.list.slice(calls).filter(({ area }) => area === 'cloud');
    expect(asked.map(({ verb }) => verb).toSorted()).toEqual([
      'readLayer',
      'readRegistration',
      'readStack',
      'readTerminationProtection',
      'readTerminationProtection',
    ]);
  });

  // OpsWorks answers about once a second for all nodes together. Two of twelve calls asked for a
  // record read milliseconds before.
  it('lists the stack once, however many nodes it has, and then reads its own record once a poll', async () => {
    for (const [others, registersAfterMs, looks] of [
      [0, 1_000, 0],
      [2_000, 300_000, 60],
    ] as const) {
      const { world, boot } = setStage(opsworksConfig());
      for (let i = 0; i < others; i++) {
        const record = { id: `o${i}`, stackId, ec2InstanceId: `i-${i}`, hostname: `other-${i}`, status: 'online' };
        world.opsworks.records.push({ ...record, layerIds: [layerId] });
      }
      world.opsworks.registersAfterMs = registersAfterMs;
      await boot();
      expect(world.calls.of('findRegistration')).toHaveLength(1);
      expect(world.calls.of('readRegistration')).toHaveLength(looks);
      expect(world.calls.of('assign')).toHaveLength(1);
    }
  });

  it('ends the same when it is killed at any call, before or after its effect', async () => {
    const undisturbed = setStage(opsworksConfig());
    await undisturbed.boot();
    const expected = traces(undisturbed.world);
    const count = undisturbed.world.calls.list.length;
    expect(count).toBeGreaterThan(30);
    for (let n = 1; n <= count; n++) {
      for (const when of ['before', 'after'] as const) {
        const { host, world, config, boot } = setStage(opsworksConfig());
        world.calls.crashAt(n, when);
        const cut = Promise.race([bootstrap(host, config, signal), world.calls.crashed()]);
        expect(await world.clock.finish(cut), `${when} call ${n}`).toBe('crashed');
        await boot(n % 2 === 0 ? world.restart() : world.reboot());
        expect(traces(world), `killed ${when} call ${n}`).toEqual(expected);
        expect(world.calls.of('findRegistration').length).toBeLessThanOrEqual(2);
      }
    }
  });

  // After four hours, 17 of 200 nodes that booted together were in service: each attempt spent its
  // few calls on facts that the last one knew.
  it('repeats no look-up in OpsWorks after it ran out of time, until the next boot', async () => {
    const { world, boot, fail } = setStage(opsworksConfig());
    world.calls.fails('readProvisioning', new Unavailable('ThrottlingException'));
    for (let attempt = 1; attempt <= 3; attempt++) await fail(attempt === 1 ? undefined : world.restart());
    for (const verb of ['readStack', 'readLayer', 'suggestHostname'])
      expect(world.calls.of(verb), verb).toHaveLength(1);
    world.calls.heals();
    await boot(world.reboot());
    expect(world.calls.of('readStack')).toHaveLength(2);
  });

  it('looks up the stack or layer again when the configuration names another', async () => {
    const stage = setStage(opsworksConfig());
    stage.world.calls.fails('readProvisioning', new Unavailable('ThrottlingException'));
    await stage.fail();
    stage.world.calls.heals();
    stage.config = opsworksConfig({ opsworks: { stack: 'demo', layer: 'ecs' } });
    await stage.boot(stage.world.restart());
    expect(stage.world.calls.of('readStack').map(({ args }) => args[0])).toEqual([stackId, 'demo']);
  });

  it('ends the same when any one call fails, loses its answer or hangs once', async () => {
    const undisturbed = setStage(opsworksConfig());
    await undisturbed.boot();
    const expected = traces(undisturbed.world);
    const verbs = new Set(undisturbed.world.calls.verbs('cloud'));
    for (const verb of verbs) {
      for (const trouble of ['fails', 'losesAnswer', 'hangs'] as const) {
        // No node waits for its name: the agent sets it.
        if (verb === 'tagSelf' && trouble === 'hangs') continue;
        const { world, boot } = setStage(opsworksConfig());
        if (trouble === 'hangs') world.calls.hangs(verb, 1);
        else world.calls[trouble](verb, new Unavailable('ThrottlingException'), 1);
        await boot();
        expect(traces(world), `${verb} ${trouble}`).toEqual(expected);
      }
    }
  });

  it.each([
    ['does not gain time by crashing', 'restart', 200_000],
    ['has its whole time again after a reboot', 'reboot', 600_000],
  ] as const)('%s', async (_, how, leftMs) => {
    const { host, world, config, fail } = setStage(opsworksConfig());
    world.calls.hangs('readStack');
    bootstrap(host, config, signal).catch(() => {});
    await world.clock.run(400_000);
    const began = world.clock.uptime();
    const error = await fail(world[how]());
    expect(exitCode(error)).toBe(75);
    const took = world.clock.uptime() - began;
    expect(took).toBeLessThanOrEqual(leftMs);
    expect(took).toBeGreaterThan(leftMs - 60_000);
  });

  it('takes no more than its time when the clock was set back while the node was down', async () => {
    const { host, world, config, fail } = setStage(opsworksConfig());
    world.calls.hangs('readStack');
    bootstrap(host, config, signal).catch(() => {});
    await world.clock.run(100_000);
    world.clock.jump(-3_600_000);
    const began = world.clock.uptime();
    await fail(world.restart());
    expect(world.clock.uptime() - began).toBeLessThanOrEqual(600_000);
  });

  it('has its whole time again when systemd starts it after an ended attempt', async () => {
    const { world, fail } = setStage(opsworksConfig());
    world.calls.hangs('readStack');
    await fail();
    const began = world.clock.uptime();
    await fail(world.restart());
    expect(world.clock.uptime() - began).toBeGreaterThan(540_000);
  });

  it.each(['hangs', 'fails'] as const)(
    'ends within its time, with exit code 75, when every AWS call %s',
    async (trouble) => {
      const { world, fail, state } = setStage(opsworksConfig({ bootstrap: { timeoutSeconds: 300 } }));
      if (trouble === 'hangs') world.calls.hangs('cloud.*');
      else world.calls.fails('cloud.*', new Unavailable('ThrottlingException: Rate exceeded'));
      const began = world.clock.uptime();
      const error = await fail();
      expect(exitCode(error)).toBe(75);
      expect(world.clock.uptime() - began).toBeLessThanOrEqual(300_000);
      expect(state()).toMatchObject({ outcome: 'failed', steps: [{ name: 'preflight', state: 'failed' }] });
      expect(state().reason).toMatch(trouble === 'fails' ? /Rate exceeded/ : /no answer within|not done within/);
      expect(world.machine.files.has(paths.ecsConfig)).toBe(false);
    },
  );

  it('is resumed, and not failed, after a stop', async () => {
    const { host, world, config, boot, state } = setStage(opsworksConfig());
    const stop = new AbortController();
    const work = bootstrap(host, config, stop.signal).catch((error: unknown) => error);
    await world.clock.run(30_000);
    stop.abort(new Error('SIGTERM'));
    expect(await world.clock.finish(work)).toMatchObject({ message: 'SIGTERM' });
    expect(state().outcome).toBe('running');
    await boot(world.restart());
    expect(state()).toMatchObject({ outcome: 'done', attempts: 2 });
  });

  it('stops at the first failure and gives the reason in state, log and console', async () => {
    const { world, fail, state } = setStage(opsworksConfig());
    world.calls.fails('suggestHostname', new Refused('no such layer', { code: 'ResourceNotFoundException' }));
    const error = await fail();
    expect(error).toMatchObject({ step: 'hostname', cause: { code: 'ResourceNotFoundException' } });
    expect(exitCode(error)).toBe(77);
    expect(state()).toMatchObject({ outcome: 'failed', reason: 'hostname: no such layer' });
    expect(world.machine.console.at(-1)).toContain('hostname: failed: no such layer');
    expect(world.log.find(({ level }) => level === 'error')).toMatchObject({ message: 'step failed' });
    expect(world.opsworks.records).toEqual([]);
  });

  it('reports its own failure even when the disk is full', async () => {
    const { world, fail } = setStage(opsworksConfig());
    world.calls.onCall = ({ verb }) => {
      if (verb !== 'suggestHostname') return;
      world.calls.fails('writeText', new Error('ENOSPC'));
      throw new Refused('not allowed');
    };
    await expect(fail()).resolves.toMatchObject({ message: 'hostname: not allowed' });
  });

  // Exit 75 for ever: neither ECS nor the agent, which frees the disk or leaves, ever started.
  it.each([opsworksConfig(), plainConfig(), plainConfig({ registrar: 'ssm' })])(
    'ends in spite of a full disk at a reboot, and keeps its registration (%#)',
    async (config) => {
      const { world, boot, state } = setStage(config);
      await boot();
      const before = state();
      world.calls.fails('writeText', new Unavailable('ENOSPC: no space left on device'));
      expect((await boot(world.reboot())).outcome).toBe('done');
      expect(state()).toEqual(before);
      expect(world.log.filter(({ message }) => message === 'state not written')).not.toHaveLength(0);
    },
  );

  it.each([
    ['a first boot', undefined, plainConfig()],
    ['a first registration', plainConfig(), opsworksConfig()],
    ['another registration', opsworksConfig(), plainConfig()],
  ])('waits for a full disk before %s', async (_, earlier, config) => {
    const stage = setStage(earlier ?? config);
    if (earlier !== undefined) await stage.boot();
    stage.config = config;
    const { length } = stage.world.opsworks.records;
    stage.world.calls.onCall = ({ verb, args }) => {
      if (verb === 'writeText' && args[0] === paths.bootstrap) throw new Unavailable('ENOSPC');
    };
    expect(exitCode(await stage.fail(stage.world.reboot()))).toBe(75);
    expect(stage.world.opsworks.records.length).toBeLessThanOrEqual(length);
  });

  it('ignores the state of another instance, which a copied image carries', async () => {
    const { world, boot } = setStage(opsworksConfig());
    await boot();
    const copied = world.machine.files.get(paths.bootstrap)!;
    const other = setStage(opsworksConfig(), { identity: { instanceId: 'i-0fedcba9876543210' } });
    other.world.machine.files.set(paths.bootstrap, copied);
    const state = await other.boot();
    expect(state).toMatchObject({ instanceId: 'i-0fedcba9876543210', attempts: 1 });
    expect(other.world.calls.of('readStack')).toHaveLength(1);
    expect(other.world.opsworks.records).toMatchObject([{ ec2InstanceId: 'i-0fedcba9876543210' }]);
  });

  it('needs no AWS when the configuration asks for nothing there', async () => {
    const config = plainConfig({ name: '', terminationProtection: 'keep' });
    const { world, boot } = setStage(config);
    const outcomes = outcomesOf(await boot());
    expect(outcomes).toMatchObject({ 'name-tag': 'skipped', register: 'skipped', unprotect: 'skipped' });
    expect(Object.keys(outcomes)).not.toContain('assign');
    expect(world.calls.verbs('cloud')).toEqual([]);
  });
});

describe('a node without an instance profile', () => {
  const noRole = () => {
    const { role: _, ...identity } = setStage(plainConfig()).world.identity;
    return identity;
  };

  it('fails before anything is changed, once its profile had time to appear', async () => {
    const stage = setStage(plainConfig());
    delete stage.world.identity.role;
    delete stage.host.identity.role;
    stage.world.metadata.identity = noRole();
    stage.world.calls.fails('readTerminationProtection', new Unavailable('no credentials'));
    const error = await stage.fail();
    expect(error.cause).toBeInstanceOf(Unavailable);
    expect(exitCode(error)).toBe(75);
    expect(error.message).toContain('instance profile: the instance has none');
    expect([...stage.world.machine.files.keys()]).toEqual([paths.bootstrap]);
  });

  it('continues when the profile is attached late, or when the environment has credentials', async () => {
    const late = setStage(plainConfig());
    delete late.host.identity.role;
    late.world.calls.fails('readTerminationProtection', new Unavailable('no credentials'), 3);
    late.world.metadata.identity = noRole();
    late.world.clock.schedule(12_000, () => void (late.world.metadata.identity.role = 'ecs-node'));
    expect(await late.boot()).toMatchObject({ outcome: 'done' });

    const environment = setStage(plainConfig());
    delete environment.host.identity.role;
    environment.world.metadata.identity = noRole();
    expect(await environment.boot()).toMatchObject({ outcome: 'done' });
  });
});
