import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { renderTemplate } from '../../../bootstrap/naming.ts';
import { tagName } from '../../../bootstrap/steps/name-tag.ts';
import { ConfigError, Refused, Unavailable, exitCode } from '../../../core/errors.ts';
import { paths } from '../../../core/state/state.ts';
import { opsworksConfig, plainConfig, setStage } from './stage.ts';

// A forgotten line compiles, and the step then never runs.
it('every file of bootstrap/steps/ that makes a step stands in the plan', () => {
  const files = globSync('bootstrap/steps/*.ts').filter((file) => /: Step\b/.test(readFileSync(file, 'utf8')));
  expect(files.length).toBeGreaterThan(5);
  const listed = readFileSync('bootstrap/plan.ts', 'utf8');
  expect(files.filter((file) => !listed.includes(`'./steps/${basename(file)}'`))).toEqual([]);
});

describe('ecs.config', () => {
  it('gets the cluster and the configured settings, and never the checkpoint of ecs-init', async () => {
    const { world, boot } = setStage(plainConfig({ ecs: { settings: { ECS_RESERVED_MEMORY: 256 } } }));
    world.machine.files.set(paths.ecsConfig, '# baked\nECS_CLUSTER=default\n');
    world.machine.modes.set(paths.ecsConfig, 0o600);
    world.machine.files.set('/var/lib/ecs/ecs.config', 'ECS_GPU=1\n');
    await boot();
    // It may hold the password of a registry.
    expect(world.machine.modes.get(paths.ecsConfig)).toBe(0o600);
    const text = String(world.machine.files.get(paths.ecsConfig));
    expect(text).toMatch(/^# baked\n# ecs-node .*\nECS_CLUSTER=demo\nECS_RESERVED_MEMORY=256\n$/);
    expect(world.machine.files.get('/var/lib/ecs/ecs.config')).toBe('ECS_GPU=1\n');
    expect(world.calls.list.filter(({ args }) => String(args[0]).startsWith('/var/lib/ecs/'))).toEqual([]);
  });

  it('sets container metadata where ports are published, unless a person decided otherwise', async () => {
    const told = setStage(plainConfig({ ports: { enabled: true } }));
    await told.boot();
    const text = () => String(told.world.machine.files.get(paths.ecsConfig));
    expect(text()).toContain('ECS_CLUSTER=demo\nECS_ENABLE_CONTAINER_METADATA=true\n');
    const settings = { ECS_ENABLE_CONTAINER_METADATA: 'false' };
    const byHand = setStage(plainConfig({ ports: { enabled: true }, ecs: { settings } }));
    await byHand.boot();
    expect(byHand.world.machine.files.get(paths.ecsConfig)).toContain('ECS_ENABLE_CONTAINER_METADATA=false\n');
    const off = setStage(plainConfig());
    await off.boot();
    expect(off.world.machine.files.get(paths.ecsConfig)).not.toContain('METADATA');
  });

  it('is not rewritten when it is right already, in any phase of the node', async () => {
    const { world, boot } = setStage(plainConfig());
    await boot();
    world.calls.list.length = 0;
    await boot(world.reboot());
    expect(world.calls.of('writeText').map(({ args }) => args[0])).not.toContain(paths.ecsConfig);
  });

  it('is left alone when it cannot be read', async () => {
    const unreadable = setStage(plainConfig());
    const fault = new ConfigError([{ path: paths.ecsConfig, problem: 'is not UTF-8' }]);
    unreadable.world.machine.files.set(paths.ecsConfig, fault);
    expect(exitCode(await unreadable.fail())).toBe(78);
    expect(unreadable.world.machine.files.get(paths.ecsConfig)).toBe(fault);
  });
});

describe('the host name', () => {
  it('is the name that EC2 gave, a template, or what OpsWorks suggests', async () => {
    expect(await setStage(plainConfig()).boot()).toMatchObject({ hostname: 'ip-10-0-0-7' });
    const template = { hostname: '{cluster}-{shortId}' };
    expect(await setStage(plainConfig(template)).boot()).toMatchObject({ hostname: 'demo-9abcdef0' });
    expect(await setStage(opsworksConfig()).boot()).toMatchObject({ hostname: 'ecs-1' });
    expect(await setStage(opsworksConfig(template)).boot()).toMatchObject({ hostname: 'demo-9abcdef0' });
  });

  it.each([
    ['OpsWorks and DNS', opsworksConfig],
    ['DNS', plainConfig],
  ])('is refused before anything is changed when %s would refuse it', async (_title, configWith) => {
    for (const hostname of ['a_b', '-a', 'a-', '{cluster}.example.com', 'x'.repeat(64)]) {
      const { world, fail } = setStage(configWith({ hostname }));
      const error = await fail();
      expect(exitCode(error), hostname).toBe(78);
      expect(error.message).toContain('hostname: ');
      expect([...world.machine.files.keys()]).toEqual([paths.bootstrap]);
    }
  });

  it('follows a changed template while OpsWorks does not know the node by the old name', async () => {
    const stage = setStage(plainConfig({ hostname: 'old' }));
    await stage.boot();
    stage.config = plainConfig({ hostname: 'new' });
    expect(await stage.boot(stage.world.reboot())).toMatchObject({ hostname: 'new' });
    expect(stage.world.instance.tags['Name']).toBe('demo ECS - new');
  });

  it('is the one that OpsWorks suggests after a boot without a registrar, and not the one of that boot', async () => {
    const stage = setStage(plainConfig());
    expect(await stage.boot()).toMatchObject({ hostname: 'ip-10-0-0-7' });
    stage.config = opsworksConfig();
    expect(await stage.boot(stage.world.reboot())).toMatchObject({ hostname: 'ecs-1' });
  });

  it('fills every placeholder and leaves other braces alone', () => {
    const values = {
      cluster: 'c',
      hostname: 'h',
      instanceId: 'i-1',
      shortId: '1',
      zone: 'z',
      region: 'r',
      instanceType: 't',
      group: 'g',
      privateIp: 'p',
    };
    expect(
      renderTemplate('{cluster}{hostname}{instanceId}{shortId}{zone}{region}{instanceType}{group}{privateIp}', values),
    ).toBe('chi-11zrtgp');
    expect(renderTemplate('{other} {cluster}', values)).toBe('{other} c');
  });
});

describe('the Name tag', () => {
  it('asks for the group only when its template names it', async () => {
    const { world, boot } = setStage(plainConfig({ name: '{group} {zone}' }));
    world.joinGroup('web');
    await boot();
    expect(world.instance.tags).toEqual({ Name: 'web us-east-1a' });
    const other = setStage(plainConfig());
    await other.boot();
    expect(other.world.calls.of('readMembership')).toEqual([]);
  });

  it('is written when the metadata service cannot tell its value, and not when it is right', async () => {
    const silent = setStage(plainConfig());
    silent.world.calls.fails('readTag', new Unavailable('IMDS answers HTML'));
    await silent.boot();
    expect(silent.world.instance.tags).toEqual({ Name: 'demo ECS - ip-10-0-0-7' });
    const right = setStage(plainConfig());
    right.world.metadata.tags = { Name: 'demo ECS - ip-10-0-0-7' };
    await right.boot();
    expect(right.world.calls.of('tagSelf')).toEqual([]);
  });

  // One call that hung took all the time to register, and the node's launch hook timed out.
  it('is written when the metadata service does not answer', async () => {
    const { world, boot } = setStage(plainConfig());
    world.calls.hangs('readTag');
    const before = world.clock.uptime();
    expect((await boot()).outcome).toBe('done');
    expect(world.clock.uptime() - before).toBeLessThan(10_000);
    expect(world.instance.tags).toEqual({ Name: 'demo ECS - ip-10-0-0-7' });
  });

  it('is written with the version in one call, and again when either changed', async () => {
    const { world, host, config } = setStage(plainConfig());
    const context = { former: [], save: async () => {}, leftMs: () => 60_000 };
    const tag = (version: string) => tagName(host, config, context, new AbortController().signal, version);
    expect(await tag('1.0.0')).toBe('changed');
    const tags = { Name: 'demo ECS - ip-10-0-0-7', 'ecs-node:version': '1.0.0' };
    expect(world.instance.tags).toEqual(tags);
    world.metadata.tags = tags;
    expect(await tag('1.0.0')).toBe('unchanged');
    expect(await tag('1.1.0')).toBe('changed');
    expect(world.calls.of('tagSelf')).toHaveLength(2);
  });

  // Ten thousand nodes booted together, and each waited up to 17 minutes for its name before it
  // could join.
  it('delays no node: the agent sets tags that EC2 throttles, unless a later attempt did', async () => {
    const { world, boot } = setStage(plainConfig());
    world.calls.fails('tagSelf', new Unavailable('RequestLimitExceeded'));
    const before = world.clock.uptime();
    expect((await boot()).outcome).toBe('done');
    expect(world.clock.uptime() - before).toBeLessThan(10_000);
    const { instanceId } = world.identity;
    const late = { instanceId, tags: { Name: 'demo ECS - ip-10-0-0-7' } };
    expect(JSON.parse(String(world.machine.files.get(paths.lateTags)))).toEqual(late);
    world.calls.heals();
    await boot(world.restart());
    expect(world.machine.files.has(paths.lateTags)).toBe(false);
  });

  it('is cut to the length that EC2 accepts', async () => {
    const { world, boot } = setStage(plainConfig({ name: `${'x'.repeat(240)}{instanceId}` }));
    await boot();
    expect(world.instance.tags['Name']).toHaveLength(255);
  });
});

describe('the hint for ohai', () => {
  it('is kept when another program wrote it', async () => {
    const { world, boot } = setStage(opsworksConfig());
    world.machine.files.set(paths.ohaiHint, '{}');
    await boot();
    expect(world.machine.files.get(paths.ohaiHint)).toBe('{}');
  });
});

describe('termination protection', () => {
  const protectedNode = (config = plainConfig({ terminationProtection: 'clear' })) => {
    const stage = setStage(config);
    stage.world.instance.terminationProtection = true;
    return stage;
  };

  it('is cleared and read back, and again when another replica gave the answer', async () => {
    const { world, boot } = protectedNode();
    world.instance.clearsIgnored = 2;
    const state = await boot();
    expect(state.steps.at(-1)).toMatchObject({ name: 'unprotect', state: 'changed' });
    expect(world.instance.terminationProtection).toBe(false);
    expect(world.calls.of('clearTerminationProtection')).toHaveLength(3);
  });

  it('costs one call when it is off', async () => {
    const { world, boot } = setStage(plainConfig({ terminationProtection: 'clear' }));
    expect((await boot()).steps.at(-1)).toMatchObject({ state: 'unchanged' });
    expect(world.calls.of('readTerminationProtection')).toHaveLength(1);
    expect(world.calls.of('clearTerminationProtection')).toEqual([]);
  });

  it('is cleared once more when OpsWorks turns it on between two reads', async () => {
    const { world, boot } = setStage(opsworksConfig());
    world.opsworks.protectsAfterMs = world.opsworks.registersAfterMs + 8_000;
    await boot();
    expect(world.instance.terminationProtection).toBe(false);
  });

  it('stays when configured, and when only a person can have turned it on', async () => {
    for (const config of [opsworksConfig({ terminationProtection: 'keep' }), plainConfig()]) {
      const { world, boot } = protectedNode(config);
      await boot();
      expect(world.instance.terminationProtection).toBe(true);
    }
  });

  it('ends the bootstrap in time with a remedy when it always comes back, and terminates no node', async () => {
    const { world, fail } = protectedNode(opsworksConfig());
    world.instance.clearsIgnored = Infinity;
    const error = await fail();
    expect(exitCode(error)).toBe(75);
    expect(error.message).toContain('CloudTrail');
    const plain = protectedNode();
    plain.world.instance.clearsIgnored = Infinity;
    expect((await plain.boot()).steps.at(-1)).toMatchObject({ state: 'skipped' });
  });
});

describe('Systems Manager', () => {
  const config = () => plainConfig({ registrar: 'ssm' });
  const required = () => plainConfig({ registrar: 'ssm', registration: { required: true } });

  it('is waited for until it sees the node online', async () => {
    const { world, boot } = setStage(config());
    world.clock.schedule(45_000, () => void (world.systemsManager.ping = 'ConnectionLost'));
    world.clock.schedule(90_000, () => void (world.systemsManager.ping = 'Online'));
    const state = await boot();
    expect(state.registered).toEqual({ registrar: 'ssm' });
    expect(state.steps.find(({ name }) => name === 'register')?.ms).toBeGreaterThanOrEqual(90_000);
  });

  // A role without Systems Manager's rights: nodes were terminated one after another.
  it.each([
    ['never sees the node', undefined],
    [
      'may not be asked',
      new Refused('ssm:DescribeInstanceInformation on * is not allowed', { code: 'AccessDeniedException' }),
    ],
    ['does not answer', new Unavailable('timed out')],
  ])('delays ECS by two minutes at most when it %s, and the log names the remedy', async (_, error) => {
    const { world, boot } = setStage(config());
    if (error !== undefined) world.calls.fails('readPing', error);
    const began = world.clock.uptime();
    const state = await boot();
    expect(world.clock.uptime() - began).toBeLessThanOrEqual(121_000);
    expect(state).toMatchObject({ outcome: 'done', registered: { registrar: 'ssm', unseen: true } });
    expect(world.machine.console.join()).toMatch(/goes on without Systems Manager.*AmazonSSMManagedInstanceCore/);
  });

  it('names the agent, the endpoints and the policy when it never sees the node', async () => {
    const { fail } = setStage(required());
    const error = await fail();
    expect(exitCode(error)).toBe(77);
    expect(error.message).toMatch(/not registered after .*amazon-ssm-agent.*AmazonSSMManagedInstanceCore/);
  });

  it('terminates no node when it does not answer', async () => {
    const { world, fail } = setStage(required());
    world.calls.fails('readPing', new Unavailable('timed out'));
    expect(exitCode(await fail())).toBe(75);
  });

  it('counts silence near the end apart from a constant "not registered"', async () => {
    const { world, fail } = setStage(required());
    world.clock.schedule(400_000, () => world.calls.fails('readPing', new Unavailable('timed out')));
    expect(exitCode(await fail())).toBe(75);
  });
});
