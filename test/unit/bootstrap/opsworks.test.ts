import { describe, expect, it } from 'vitest';
import { bootstrap } from '../../../bootstrap/bootstrap.ts';
import { renderPreconfig } from '../../../bootstrap/registrars/opsworks/installer.ts';
import { deregister } from '../../../bootstrap/registrars/registrars.ts';
import type { Config } from '../../../config/config.ts';
import { ConfigError, Refused, Unavailable, exitCode } from '../../../core/errors.ts';
import type { Host } from '../../../core/host.ts';
import { paths } from '../../../core/state/state.ts';
import { installerUrl } from '../../fakes/cloud/opsworks.ts';
import { layerId, opsworksConfig, plainConfig, setStage, signal, stackId, type Stage } from './stage.ts';

const installer = '/opsworks-agent-installer/boot-registration';

function addRecord({ world }: Stage, more: Record<string, unknown> = {}) {
  const record = {
    id: 'r-1',
    stackId,
    ec2InstanceId: world.identity.instanceId,
    hostname: 'ecs-7',
    status: 'online',
    layerIds: [layerId],
    ...more,
  };
  world.opsworks.records.push(record);
  return record;
}

/** A rerun whose state says that this node is registered as `r-1`. */
async function bootedBefore(more: Record<string, unknown> = {}, config = opsworksConfig()): Promise<Stage> {
  const stage = setStage(config);
  await stage.boot();
  const record = stage.world.opsworks.records[0]!;
  Object.assign(record, more);
  stage.world.calls.list.length = 0;
  return stage;
}

describe('the configured stack and layer', () => {
  it('are found by name and short name as well as by ids', async () => {
    for (const [stack, layer] of [
      [stackId, layerId],
      ['demo', 'ecs'],
    ]) {
      const { boot } = setStage(opsworksConfig({ opsworks: { stack, layer } }));
      expect(await boot()).toMatchObject({ registered: { stackId, layerId } });
    }
  });

  const refused: [string, (stage: Stage) => void, Record<string, string>, string][] = [
    [
      'a stack of another region',
      ({ world }) => void (world.opsworks.stacks[0]!.region = 'eu-west-1'),
      {},
      'eu-west-1',
    ],
    ['an unknown stack', () => {}, { stack: 'nowhere' }, 'no stack with the id or name "nowhere"'],
    [
      'a name that two stacks have',
      ({ world }) => void world.opsworks.stacks.push({ id: 'other', name: 'demo', region: 'us-east-1' }),
      { stack: 'demo' },
      'name the stack by its id',
    ],
    ['an unknown layer', () => {}, { layer: 'db' }, 'no layer with the id or short name "db"'],
    [
      'a layer of another stack',
      ({ world }) => void world.opsworks.layers.push({ id: 'foreign', stackId: 'other', shortName: 'ecs' }),
      { layer: 'foreign' },
      'belongs to stack other',
    ],
  ];
  for (const [what, arrange, opsworks, words] of refused) {
    it(`cannot be ${what}: it is refused before anything is changed`, async () => {
      const stage = setStage(opsworksConfig({ opsworks: { stack: stackId, layer: 'ecs', ...opsworks } }));
      arrange(stage);
      const error = await stage.fail();
      expect(error.cause).toBeInstanceOf(ConfigError);
      expect(exitCode(error)).toBe(78);
      expect(error.message).toMatch(/opsworks\.(stack|layer): /);
      expect(error.message).toContain(words);
      expect([...stage.world.machine.files.keys()]).toEqual([paths.bootstrap]);
      expect(stage.world.calls.of('tagSelf')).toEqual([]);
    });
  }

  // OpsWorks showed no stack for some seconds: the node gave up, and waited for a person for ever.
  it('are not blamed while OpsWorks shows no stack for half a minute', async () => {
    const { world, boot } = setStage(opsworksConfig());
    const { stacks } = world.opsworks;
    world.opsworks.stacks = [];
    world.clock.schedule(30_000, () => void (world.opsworks.stacks = stacks));
    expect(await boot()).toMatchObject({ registered: { stackId, layerId } });
  });

  it('are not blamed for a missing permission', async () => {
    const { world, fail } = setStage(opsworksConfig());
    world.calls.fails('readStack', new Refused('not authorized', { code: 'AccessDeniedException' }));
    expect(exitCode(await fail())).toBe(77);
  });
});

describe('the installer', () => {
  it('gets everything in sorted lines of JSON', () => {
    expect(renderPreconfig({ b: 'two "quoted"', assets_download_bucket: 'x' }, 's-1', 'ecs-1')).toBe(
      ':assets_download_bucket: "x"\n:b: "two \\"quoted\\""\n:hostname: "ecs-1"\n:import: true\n:stack_id: "s-1"\n',
    );
  });

  it('runs as the AWS CLI ran it', async () => {
    const { world, boot } = setStage(opsworksConfig());
    await boot();
    const [run] = world.calls.of('run');
    expect(run!.args[0]).toMatchObject({
      file: expect.stringMatching(/\/opsworks-agent-installer\/boot-registration$/) as string,
      args: [],
      umask: 0o007,
      environment: { OPSWORKS_ASSETS_DOWNLOAD_BUCKET: 'opsworks-assets', HOME: '/root' },
    });
  });

  it('gets a new name when another node took the suggested one', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage, { id: 'other', ec2InstanceId: 'i-other', hostname: 'ecs-1' });
    stage.world.opsworks.suggestions.push('ecs-1', 'ecs-1');
    expect(await stage.boot()).toMatchObject({ hostname: 'ecs-2' });
    expect(stage.world.calls.of('run')).toHaveLength(3);
    expect(stage.world.instance.tags).toEqual({ Name: 'demo ECS - ecs-2' });
    // Before each further run, and to learn the id: its own record may be what has the name.
    expect(stage.world.calls.of('findRegistration')).toHaveLength(3);
  });

  // Six nodes booted together; each name that OpsWorks suggested went to one of them, and the sixth
  // terminated itself.
  it('gets a name of its own when other nodes take the suggested ones again and again', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage, { id: 'other', ec2InstanceId: 'i-other', hostname: 'ecs-1' });
    stage.world.opsworks.suggestions = Array.from({ length: 20 }, () => 'ecs-1');
    const own = `ecs-${stage.world.identity.instanceId.slice(-8)}`;
    expect(await stage.boot()).toMatchObject({ hostname: own });
    expect(stage.world.calls.of('run')).toHaveLength(4);
    expect(stage.world.instance.tags).toEqual({ Name: `demo ECS - ${own}` });
  });

  it('fails when even its own name is taken', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage, { id: 'other', ec2InstanceId: 'i-other', hostname: 'ecs-1' });
    const own = `ecs-${stage.world.identity.instanceId.slice(-8)}`;
    addRecord(stage, { id: 'another', ec2InstanceId: 'i-another', hostname: own });
    stage.world.opsworks.suggestions = Array.from({ length: 20 }, () => 'ecs-1');
    const error = await stage.fail();
    expect(exitCode(error)).toBe(77);
    expect(error.message).toContain('already taken');
    expect(stage.world.calls.of('run')).toHaveLength(5);
  });

  it('leaves the taken name of a template to the operator', async () => {
    const stage = setStage(opsworksConfig({ hostname: 'web-{cluster}' }));
    addRecord(stage, { id: 'other', ec2InstanceId: 'i-other', hostname: 'web-demo' });
    const error = await stage.fail();
    expect(exitCode(error)).toBe(78);
    expect(error.message).toContain('{shortId}');
  });

  // A hanging assignment took effect just before its retry. OpsWorks refused the retry, and the
  // node terminated itself.
  it('survives an abandoned assignment that took effect', async () => {
    const stage = setStage(opsworksConfig());
    const { calls, opsworks } = stage.world;
    calls.hangs('assign', 1);
    calls.onCall = ({ verb }) => {
      const [record] = opsworks.records;
      if (verb !== 'assign' || calls.of('assign').length < 2 || record === undefined) return;
      Object.assign(record, { layerIds: [layerId], status: 'running_setup' });
    };
    await stage.boot();
    expect(calls.of('assign')).toHaveLength(2);
    expect(stage.state().outcome).toBe('done');
  });

  // At one call a second, the check before each try used the call that the try needed: 200 nodes
  // took hours.
  it('repeats no question while OpsWorks is too busy for the layer', async () => {
    const { world, boot } = setStage(opsworksConfig());
    world.calls.fails('assign', new Unavailable('throttled'), 5);
    expect(await boot()).toMatchObject({ outcome: 'done' });
    const verbs = world.calls.verbs('cloud');
    const tries = verbs.slice(verbs.indexOf('assign'), verbs.lastIndexOf('assign') + 1);
    expect(tries).toEqual(Array(6).fill('assign'));
  });

  // OpsWorks received an assignment twice, refused the second one, and still showed an older state.
  it('survives a refusal while OpsWorks still shows the state before', async () => {
    const stage = setStage(opsworksConfig());
    const { calls, opsworks, clock } = stage.world;
    calls.fails('assign', new Refused('instance is running_setup: only a registered one is assigned'));
    calls.onCall = ({ verb }) => {
      if (verb !== 'assign' || calls.of('assign').length > 1) return;
      clock.schedule(9_000, () =>
        Object.assign(opsworks.records[0]!, { layerIds: [layerId], status: 'running_setup' }),
      );
    };
    await stage.boot();
    expect(stage.state().outcome).toBe('done');
  });

  it('fails when OpsWorks keeps refusing', async () => {
    const stage = setStage(opsworksConfig());
    stage.world.calls.fails('assign', new Refused('not authorized', { code: 'AccessDeniedException' }));
    expect(exitCode(await stage.fail())).toBe(77);
  });

  // The record had just been listed, but another AWS server did not know it yet. The node took it
  // for deregistered.
  it('survives that its listed record is not visible everywhere yet', async () => {
    const stage = setStage(opsworksConfig());
    const { calls, opsworks, clock } = stage.world;
    calls.onCall = ({ verb }) => {
      if (verb !== 'readRegistration' || calls.of('readRegistration').length > 1) return;
      const records = opsworks.records.splice(0);
      clock.schedule(9_000, () => void opsworks.records.push(...records));
    };
    await stage.boot();
    expect(stage.state().outcome).toBe('done');
    expect(opsworks.records).toHaveLength(1);
  });

  it('fails when a person has deregistered it', async () => {
    const stage = setStage(opsworksConfig());
    const { calls, opsworks } = stage.world;
    calls.onCall = ({ verb }) => {
      if (verb === 'readRegistration') opsworks.records.length = 0;
    };
    const error = await stage.fail();
    expect(exitCode(error)).toBe(77);
    expect(error.message).toContain('is gone');
  });

  // The setup had ended long ago, but the last call hung to the end: the node was given up for
  // good.
  it('survives a call that hung while the result of the setup is unknown', async () => {
    const stage = setStage(
      opsworksConfig({
        opsworks: { stack: stackId, layer: 'ecs', waitForOnline: true },
        registration: { required: true },
        bootstrap: { timeoutSeconds: 300 },
      }),
    );
    Object.assign(stage.world.opsworks, { registersAfterMs: 110_000, setupTakesMs: 146_000 });
    stage.world.clock.schedule(274_000, () => stage.world.calls.hangs('readRegistration'));
    const error = await stage.fail();
    expect(exitCode(error)).toBe(75);
  });

  const refusal = 'Aws::OpsWorks::Errors::ValidationException: the stack takes no such instance';

  const failingInstaller = (
    failures: number,
    exit = { code: 1, tail: `${refusal}\n` },
    more: Record<string, unknown> = {},
  ): Stage => {
    const stage = setStage(opsworksConfig(more));
    const real = stage.world.machine.programs.get(installer)!;
    let left = failures;
    stage.world.machine.programs.set(installer, (command, callSignal) =>
      left-- > 0 ? exit : real(command, callSignal),
    );
    return stage;
  };

  // Each ended a node within 22 s.
  it.each([
    ['a name server', 'curl: (6) Could not resolve host: opsworks-instance-assets.s3.amazonaws.com\n', 1],
    ['a mirror', 'Package hostname-3.23 is already installed.\nError: mirror timed out\n', 1],
    ['a package that is missing', 'hostname-3.23 does not exist in the repository\n', 1],
    ['a repository', 'repo already registered\nError: mirror timed out\n', 1],
    ['a full disk', 'tar: write error: No space left on device\n', 2],
    ['OpsWorks with 503', 'Aws::OpsWorks::Errors::ServiceUnavailable: 503\n', 1],
    ['a signal', '', 137],
    ['a mirror after an answer by AWS', `${refusal}\ncurl: (28) Operation timed out\n`, 1],
    ['a signal after an answer by AWS', `${refusal}\n`, 137],
  ])('is retried until the deadline after a failure of %s, with and without a template', async (_, tail, code) => {
    for (const more of [{}, { hostname: 'web-{shortId}' }]) {
      expect((await failingInstaller(6, { code, tail }, more).boot()).outcome).toBe('done');
      const { world, fail } = failingInstaller(1_000, { code, tail }, more);
      const began = world.clock.uptime();
      const error = await fail();
      expect(exitCode(error)).toBe(75);
      expect(error.message).toContain(`exit code ${code}`);
      expect(world.clock.uptime() - began).toBeGreaterThan(500_000);
    }
  });

  it('keeps the node when the role may not register it', async () => {
    const { fail } = failingInstaller(1_000, { code: 1, tail: 'Aws::OpsWorks::Errors::AccessDeniedException: no' });
    expect((await fail()).cause).toBeInstanceOf(Refused);
  });

  // The SDK in the installer repeated a call whose answer was lost, and met its own record.
  it.each([
    ['with a template', { hostname: 'web-{shortId}' }, 0, 1],
    ['with a template and a late listing', { hostname: 'web-{shortId}' }, 10_000, 2],
    ['without a template', {}, 0, 1],
    ['without a template, and with a late listing', {}, 10_000, 2],
  ])('finds its own record before it believes that its name is taken, %s', async (_, more, listingLagMs, runs) => {
    const { world, boot } = setStage(opsworksConfig(more));
    world.opsworks.listingLagMs = listingLagMs;
    const real = world.machine.programs.get(installer)!;
    let isFirst = true;
    world.machine.programs.set(installer, async (command, callSignal) => {
      const exit = await real(command, callSignal);
      if (!isFirst) return exit;
      isFirst = false;
      const taken = `Hostname ${world.opsworks.records[0]!.hostname} is already taken in this stack`;
      return { code: 1, tail: `Aws::OpsWorks::Errors::ValidationException: ${taken}\n` };
    });
    expect((await boot()).outcome).toBe('done');
    expect(world.opsworks.records).toHaveLength(1);
    expect(world.calls.of('run')).toHaveLength(runs);
  });

  // A thousand nodes registered together, and all but a few terminated themselves: OpsWorks accepts
  // about one call a second.
  it('runs again while OpsWorks throttles it and the bootstrap has time, and never terminates the node', async () => {
    const throttled = (times: number) => {
      const stage = setStage(opsworksConfig());
      const real = stage.world.machine.programs.get(installer)!;
      let left = times;
      stage.world.machine.programs.set(installer, (command, callSignal) =>
        left-- > 0
          ? { code: 1, tail: 'Aws::OpsWorks::Errors::ThrottlingException: Rate exceeded\n' }
          : real(command, callSignal),
      );
      return stage;
    };
    expect((await throttled(4).boot()).outcome).toBe('done');
    expect(exitCode(await throttled(1_000).fail())).toBe(75);
  });

  it('may fail once', async () => {
    const { boot } = failingInstaller(1);
    expect((await boot()).outcome).toBe('done');
  });

  it('may fail twice', async () => {
    const { boot } = failingInstaller(2);
    expect((await boot()).outcome).toBe('done');
  });

  it('is final after three refusals by AWS in a row, reports its last output and leaves no folder', async () => {
    const { world, fail } = failingInstaller(3);
    const began = world.clock.uptime();
    const error = await fail();
    expect(world.clock.uptime() - began).toBeGreaterThanOrEqual(15_000);
    expect(exitCode(error)).toBe(77);
    expect(error.message).toContain(refusal);
    expect([...world.machine.files.keys()].filter((path) => path.startsWith(paths.unpacked))).toEqual([]);
  });

  it('without an end is killed in time and proves nothing against the node', async () => {
    const { world, fail } = setStage(opsworksConfig());
    world.calls.hangs('run');
    const began = world.clock.uptime();
    expect(exitCode(await fail())).toBe(75);
    expect(world.clock.uptime() - began).toBeLessThanOrEqual(600_000);
  });

  it('must be an archive with boot-registration in it', async () => {
    const noArchive = setStage(opsworksConfig());
    noArchive.world.calls.fails('unpack', new Refused(`${installerUrl}: not a .tgz`));
    expect(exitCode(await noArchive.fail())).toBe(75);

    const climbing = setStage(opsworksConfig());
    climbing.world.machine.archives.set(installerUrl, { '../../etc/shadow': 'x' });
    expect((await climbing.fail()).message).toContain('climbs out');

    const empty = setStage(opsworksConfig());
    empty.world.machine.archives.set(installerUrl, { 'readme.txt': 'hello' });
    expect((await empty.fail()).message).toContain('holds no opsworks-agent-installer/boot-registration');
    for (const { world } of [noArchive, climbing, empty]) expect(world.calls.of('run')).toEqual([]);
  });

  // A download site that answered 403 once, half an archive once and a proxy's page once ended the
  // node within a second.
  it.each([
    ['answers 403 once', 'https://opsworks.example answered 403'],
    ['gives half an archive once', 'archive refused: not a whole .tgz file (unexpected end of file)'],
    ['gives a web page once', 'archive refused: not a whole .tgz file (incorrect header check)'],
  ])('is downloaded again, with a fresh address, when its download %s', async (_, why) => {
    const { world, boot } = setStage(opsworksConfig());
    world.calls.fails('unpack', new Refused(why), 1);
    expect((await boot()).outcome).toBe('done');
    expect(world.calls.of('unpack')).toHaveLength(2);
    expect(world.calls.of('readProvisioning')).toHaveLength(2);
  });

  // RegisterInstance took effect and its answer was lost. The second run of the installer left a
  // second record behind.
  it('does not run again when its first run registered the node unnoticed', async () => {
    const { world, boot } = setStage(opsworksConfig());
    const real = world.machine.programs.get(installer)!;
    world.machine.programs.set(installer, async (command, callSignal) => {
      await real(command, callSignal);
      return { code: 1, tail: 'RegisterInstance: connection reset\n' };
    });
    expect((await boot()).outcome).toBe('done');
    expect(world.calls.of('run')).toHaveLength(1);
    expect(world.opsworks.records).toHaveLength(1);
  });

  // At the deadline, an installer that ignores SIGTERM was running. The bootstrap exited and left
  // it alive, with its folder.
  it('has ended, and its folder is gone, when the bootstrap fails at its deadline', async () => {
    const { world, fail } = setStage(opsworksConfig({ bootstrap: { timeoutSeconds: 60 } }));
    let endedAt = 0;
    world.machine.programs.set(installer, async (_command, callSignal) => {
      await new Promise((resolve) => callSignal.addEventListener('abort', resolve));
      await world.clock.sleep(2_000, signal);
      endedAt = world.clock.uptime();
      throw callSignal.reason;
    });
    const began = world.clock.uptime();
    expect(exitCode(await fail())).toBe(75);
    expect(endedAt).toBeGreaterThan(0);
    expect(world.clock.uptime() - began).toBeLessThanOrEqual(60_000);
    expect([...world.machine.files.keys()].filter((path) => path.startsWith(paths.unpacked))).toEqual([]);
  });

  it('does not run twice on a node that was killed while it ran', async () => {
    const { host, world, config, boot } = setStage(opsworksConfig());
    bootstrap(host, config, signal).catch(() => {});
    await world.clock.run(10_000);
    const again = world.restart();
    await boot(again);
    // The first installer continued in the background and registered; the second got "already
    // registered".
    expect(world.opsworks.records).toHaveLength(1);
  });

  it('does not run again on a node that was killed just after it ended', async () => {
    const { host, world, config, boot } = setStage(opsworksConfig());
    world.calls.onCall = ({ verb }) => {
      if (verb === 'run') world.calls.crashAt(1, 'after');
    };
    await world.clock.finish(Promise.race([bootstrap(host, config, signal), world.calls.crashed()]));
    world.calls.onCall = undefined;
    await boot(world.restart());
    expect(world.calls.of('run')).toHaveLength(1);
    expect(world.calls.of('suggestHostname')).toHaveLength(1);
    expect(world.calls.of('findRegistration')).toHaveLength(1);
  });

  it("leaves its record's id on disk before the long wait, so that a killed node lists the stack no more", async () => {
    const { host, world, config, boot, state } = setStage(opsworksConfig());
    bootstrap(host, config, signal).catch(() => {});
    await world.clock.run(40_000);
    expect(state().registered).toMatchObject({ id: world.opsworks.records[0]!.id, stackId, layerId });
    await boot(world.restart());
    expect(world.calls.of('findRegistration')).toHaveLength(1);
  });
});

describe('an existing OpsWorks record', () => {
  it('is used unchanged after a reboot', async () => {
    const { world, boot } = await bootedBefore();
    expect((await boot(world.reboot())).steps.find(({ name }) => name === 'register')).toMatchObject({
      state: 'unchanged',
    });
    expect(world.calls.of('run')).toEqual([]);
    expect(world.calls.of('findRegistration')).toEqual([]);
  });

  it('is found by the second look-up when the state on disk was lost', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage);
    const state = await stage.boot();
    expect(state).toMatchObject({ hostname: 'ecs-7', registered: { id: 'r-1' } });
    expect(stage.world.instance.tags['Name']).toBe('demo ECS - ecs-7');
    expect(stage.world.opsworks.records).toHaveLength(1);
  });

  it('has time to reconnect after a reboot', async () => {
    const { world, boot } = await bootedBefore({ status: 'connection_lost' });
    world.clock.schedule(100_000, () => void (world.opsworks.records[0]!.status = 'online'));
    const id = world.opsworks.records[0]!.id;
    expect(await boot(world.reboot())).toMatchObject({ registered: { id } });
    expect(world.calls.of('run')).toEqual([]);
  });

  it('is replaced when its agent never reconnects', async () => {
    const { world, boot } = await bootedBefore({ status: 'connection_lost' });
    const former = world.opsworks.records[0]!.id;
    const state = await boot(world.reboot());
    expect(world.opsworks.records).toMatchObject([{ id: state.registered?.id, layerIds: [layerId] }]);
    expect(state.registered?.id).not.toBe(former);
  });

  it('is replaced after its deregistration ends', async () => {
    const stage = await bootedBefore();
    const { world } = stage;
    const former = world.opsworks.records[0]!;
    former.layerIds = [];
    await world.clock.finish(stage.host.cloud.deregister(former.id, signal));
    const state = await stage.boot(world.reboot());
    expect(state.registered?.id).not.toBe(former.id);
    expect(world.opsworks.records).toHaveLength(1);
  });

  it('is moved when the configuration names another layer', async () => {
    const stage = await bootedBefore({ status: 'online' });
    stage.world.opsworks.layers.push({ id: 'layer-2', stackId, shortName: 'other' });
    stage.config = opsworksConfig({ opsworks: { stack: stackId, layer: 'other' } });
    await stage.boot(stage.world.reboot());
    expect(stage.world.opsworks.records).toMatchObject([{ layerIds: ['layer-2'] }]);
    expect(stage.state().registered?.layerId).toBe('layer-2');
  });

  it('is left when the configuration names another stack or registrar', async () => {
    const stage = await bootedBefore({ status: 'online' });
    stage.config = plainConfig();
    await stage.boot(stage.world.reboot());
    await stage.world.clock.run(60_000);
    expect(stage.world.opsworks.records).toEqual([]);
    expect(stage.state()).toMatchObject({ registered: { registrar: 'none' }, hostname: 'ip-10-0-0-7' });
  });
});

async function countReads(config: Config): Promise<number> {
  const { world, boot } = setStage(config);
  await boot();
  return world.calls.of('readRegistration').length;
}

describe('the registration', () => {
  it('fails when OpsWorks says so, or answers but never completes it', async () => {
    for (const status of ['setup_failed', 'start_failed', 'registering']) {
      const { world, fail } = setStage(opsworksConfig());
      world.opsworks.registersAs = status;
      const error = await fail();
      expect(exitCode(error), status).toBe(77);
      expect(error.message).toContain(status);
    }
  });

  it.each(['stopped', 'setup_failed', 'start_failed', 'terminated'])(
    'goes on after a single answer that the record is %s',
    async (status) => {
      const required = opsworksConfig({
        opsworks: { stack: stackId, layer: 'ecs', waitForOnline: true },
        registration: { required: true },
      });
      const reads = await countReads(required);
      for (let wrong = 1; wrong <= reads; wrong++) {
        const { host, world, boot } = setStage(required);
        let count = 0;
        const readRegistration: Host['cloud']['readRegistration'] = async (...args) => {
          const record = await host.cloud.readRegistration(...args);
          return ++count === wrong && record !== undefined ? { ...record, status, layerIds: [] } : record;
        };
        await boot({ ...host, cloud: { ...host.cloud, readRegistration } });
        expect(world.opsworks.records, `read ${wrong} of ${reads}`).toMatchObject([{ status: 'online' }]);
      }
    },
  );

  it('is tried again later when AWS was too slow', async () => {
    const { world, fail } = setStage(opsworksConfig());
    world.calls.delays('readProvisioning', 29_000, 1);
    world.calls.fails('readProvisioning', new Unavailable('ThrottlingException'), 30);
    world.opsworks.registersAfterMs = 500_000;
    expect(exitCode(await fail())).toBe(75);
  });

  it('passes unknown states', async () => {
    const { world, boot } = setStage(opsworksConfig());
    world.opsworks.registersAs = 'warming_up_the_quantum';
    world.clock.schedule(200_000, () => void (world.opsworks.records[0]!.status = 'registered'));
    expect((await boot()).outcome).toBe('done');
  });

  it('waits for the recipes when configured to, and no longer than until they fail', async () => {
    const online = opsworksConfig({
      opsworks: { stack: stackId, layer: 'ecs', waitForOnline: true },
      registration: { required: true },
    });
    const good = setStage(online);
    await good.boot();
    expect(good.world.opsworks.records).toMatchObject([{ status: 'online' }]);
    const bad = setStage(online);
    bad.world.opsworks.setupEndsAs = 'setup_failed';
    const error = await bad.fail();
    expect(exitCode(error)).toBe(77);
    expect(error.message).toContain('setup_failed');
  });

  it('continues when its recipes fail, or take too long, unless they are required', async () => {
    const online = opsworksConfig({ opsworks: { stack: stackId, layer: 'ecs', waitForOnline: true } });
    for (const more of [{ setupEndsAs: 'setup_failed' }, { setupTakesMs: 3_600_000 }] as const) {
      const { world, boot } = setStage(online);
      Object.assign(world.opsworks, more);
      expect((await boot()).outcome).toBe('done');
      expect(world.machine.console.join()).toContain('goes on without');
    }
  });

  it('finds its record although the listing is late', async () => {
    const { world, boot } = setStage(opsworksConfig());
    world.opsworks.listingLagMs = 40_000;
    await boot();
    expect(world.calls.of('findRegistration').length).toBeLessThanOrEqual(3);
  });
});

describe('leaving OpsWorks', () => {
  const leave = async (stage: Stage, registered: object) => {
    await stage.world.clock.finish(deregister(stage.host, { registrar: 'opsworks', ...registered }, signal));
    await stage.world.clock.run(60_000);
    return stage.world.opsworks.records;
  };

  it('unassigns, then deregisters, and leaves no record', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage);
    expect(await leave(stage, { id: 'r-1' })).toEqual([]);
    const deeds = stage.world.calls.verbs('cloud').filter((verb) => !verb.startsWith('read'));
    expect(deeds).toEqual(['unassign', 'deregister']);
  });

  // Shutdown recipes that used all their time took longer than the node waited: its record stayed
  // as connection_lost.
  it('leaves no record when shutdown recipes begin late and take two minutes', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage);
    stage.world.opsworks.unassignTakesMs = 200_000;
    expect(await leave(stage, { id: 'r-1' })).toEqual([]);
  });

  // The first of two calls unassigned the node. The second was refused, and the record stayed for
  // ever.
  it('waits for an unassignment that OpsWorks received twice and refused the second time', async () => {
    const stage = setStage(opsworksConfig());
    const record = addRecord(stage);
    const { calls, clock } = stage.world;
    calls.onCall = ({ verb }) => {
      if (verb !== 'unassign') return;
      record.status = 'unassigning';
      clock.schedule(60_000, () => Object.assign(record, { layerIds: [], status: 'registered' }));
    };
    expect(await leave(stage, { id: 'r-1' })).toEqual([]);
  });

  it('deregisters at once when the role may not unassign', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage);
    stage.world.calls.fails('unassign', new Refused('not authorized', { code: 'AccessDeniedException' }));
    const began = stage.world.clock.uptime();
    await expect(leave(stage, { id: 'r-1' })).rejects.toThrow('unassign it first');
    expect(stage.world.clock.uptime() - began).toBeLessThan(5_000);
  });

  // The bootstrap gave the assignment up at its deadline. OpsWorks carried it out after the node
  // had begun to leave.
  it('unassigns again after a late assignment', async () => {
    const stage = setStage(opsworksConfig());
    const record = addRecord(stage);
    const { calls, clock } = stage.world;
    let isFirst = true;
    calls.onCall = ({ verb }) => {
      if (verb === 'unassign' && isFirst) clock.schedule(8_000, () => void (record.status = 'online'));
      if (verb === 'unassign') isFirst = false;
    };
    expect(await leave(stage, { id: 'r-1' })).toEqual([]);
    expect(calls.of('unassign')).toHaveLength(2);
  });

  it('finds the record of an installer whose end the node did not see', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage, { layerIds: [], status: 'registering' });
    expect(await leave(stage, { stackId, layerId })).toEqual([]);
  });

  it('accepts a record that is gone, going, or never existed', async () => {
    for (const arrange of [
      () => {},
      (stage: Stage) => void addRecord(stage, { layerIds: [], status: 'deregistering', ec2InstanceId: 'x' }),
    ]) {
      const stage = setStage(opsworksConfig());
      arrange(stage);
      await leave(stage, { id: 'r-1' });
      await leave(stage, { stackId });
      await leave(stage, {});
      expect(stage.world.calls.of('deregister')).toEqual([]);
    }
  });

  it('deregisters a dead agent that never confirms its unassignment', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage, { status: 'connection_lost' });
    stage.world.opsworks.unassignTakesMs = 10_000_000;
    // The real service lets a dead instance go; the fake insists, so only the attempt can be seen.
    await expect(leave(stage, { id: 'r-1' })).rejects.toThrow('unassign it first');
    expect(stage.world.calls.of('deregister')).toHaveLength(1);
  });

  it('survives throttling, and ends on a stop', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage);
    stage.world.calls.fails('deregister', new Unavailable('ThrottlingException'), 3);
    expect(await leave(stage, { id: 'r-1' })).toEqual([]);
  });
});
