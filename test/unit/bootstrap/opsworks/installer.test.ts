import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { bootstrap } from '../../../../bootstrap/bootstrap.ts';
import { Refused, exitCode } from '../../../../core/errors.ts';
import type { Host } from '../../../../core/host.ts';
import { paths } from '../../../../core/state/state.ts';
import { installerUrl } from '../../../fakes/cloud/opsworks.ts';

import { layerId, opsworksConfig, setStage, signal, stackId, type Stage } from '../stage.ts';
import { addRecord, installer, refusal } from './records.ts';

describe('the installer', () => {
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
    const { world, boot } = throttled(4);
    expect((await boot()).outcome).toBe('done');
    // Two hundred nodes that made more calls before each try were not in service after six hours.
    const calls = (verb: 'run' | 'readProvisioning' | 'findRegistration') => world.calls.of(verb).length;
    expect([calls('run'), calls('readProvisioning'), calls('findRegistration')]).toEqual([5, 1, 1]);
    expect(exitCode(await throttled(1_000).fail())).toBe(75);
  });

  it('uses a name of its own at once if the suggested one is taken while OpsWorks throttles it', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage, { id: 'other', ec2InstanceId: 'i-other', hostname: 'ecs-1' });
    stage.world.opsworks.suggestions = ['ecs-1'];
    const real = stage.world.machine.programs.get(installer)!;
    let isFirst = true;
    stage.world.machine.programs.set(installer, (command, callSignal) => {
      if (!isFirst) return real(command, callSignal);
      isFirst = false;
      return { code: 1, tail: 'Aws::OpsWorks::Errors::ThrottlingException: Rate exceeded\n' };
    });
    expect(await stage.boot()).toMatchObject({ hostname: `ecs-${stage.world.identity.instanceId.slice(-8)}` });
    expect(stage.world.calls.of('suggestHostname')).toHaveLength(1);
  });

  // The installer lost the answer to RegisterInstance, repeated the call, and was throttled.
  it('tells a person of the older record where an earlier run registered the node as well', async () => {
    const { host, world, boot } = setStage(opsworksConfig());
    const findRegistration: Host['cloud']['findRegistration'] = async (...args) => {
      const found = await host.cloud.findRegistration(...args);
      return found && { ...found, older: ['lost-1', 'lost-2'] };
    };
    expect((await boot({ ...host, cloud: { ...host.cloud, findRegistration } })).outcome).toBe('done');
    expect(world.machine.console.join('\n')).toContain('deregister them by hand: lost-1 lost-2');
  });

  it('may fail once', async () => {
    const { boot } = failingInstaller(1);
    expect((await boot()).outcome).toBe('done');
  });

  it('may fail twice', async () => {
    const { boot } = failingInstaller(2);
    expect((await boot()).outcome).toBe('done');
  });

  it.each([
    ['a minute', 75_000, {}],
    ['half of a short bootstrap', 30_000, { bootstrap: { timeoutSeconds: 60 } }],
  ])('is final after refusals by AWS for %s, reports its last output and leaves no folder', async (_, ms, more) => {
    const { world, fail } = failingInstaller(1_000, undefined, more);
    const began = world.clock.uptime();
    const error = await fail();
    expect(world.clock.uptime() - began).toBeGreaterThanOrEqual(ms);
    expect(world.calls.of('run').length).toBeGreaterThanOrEqual(3);
    expect(exitCode(error)).toBe(77);
    expect(error.message).toContain(refusal);
    expect([...world.machine.files.keys()].filter((path) => path.startsWith(paths.unpacked))).toEqual([]);
  });

  // Where other nodes take the names, three answers come within seconds.
  it('is not final after three answers of AWS that have not lasted', async () => {
    const stage = setStage(opsworksConfig());
    const real = stage.world.machine.programs.get(installer)!;
    const taken = 'Aws::OpsWorks::Errors::ValidationException: Hostname web1 is already taken in this stack\n';
    const answers = [taken, taken, `${refusal}\n`];
    stage.world.machine.programs.set(installer, (command, callSignal) => {
      const tail = answers.shift();
      return tail === undefined ? real(command, callSignal) : { code: 1, tail };
    });
    // The test files share one process, so a failure must not leave the next ones without chance.
    const random = vi.spyOn(Math, 'random').mockReturnValue(0);
    onTestFinished(() => void random.mockRestore());
    expect((await stage.boot()).outcome).toBe('done');
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

    const signed = setStage(opsworksConfig());
    signed.world.opsworks.provisioning.installerUrl = `${installerUrl}?key=of-a-person`;
    signed.world.machine.archives.set(`${installerUrl}?key=of-a-person`, { 'readme.txt': 'hello' });
    expect((await signed.fail()).message).toContain(`${installerUrl} holds no`);
    for (const { world } of [noArchive, climbing, empty, signed]) expect(world.calls.of('run')).toEqual([]);
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

  it('does not run again on a node that was killed just after it ended, and whose record is not listed at once', async () => {
    const { host, world, config, boot } = setStage(opsworksConfig());
    world.calls.onCall = ({ verb }) => {
      if (verb === 'run') world.calls.crashAt(1, 'after');
    };
    await world.clock.finish(Promise.race([bootstrap(host, config, signal), world.calls.crashed()]));
    world.calls.onCall = undefined;
    const restarted = world.restart();
    const listedAt = world.clock.uptime() + 10_000;
    const findRegistration: Host['cloud']['findRegistration'] = async (...args) => {
      const found = await restarted.cloud.findRegistration(...args);
      return world.clock.uptime() < listedAt ? undefined : found;
    };
    await boot({ ...restarted, cloud: { ...restarted.cloud, findRegistration } });
    expect(world.calls.of('run')).toHaveLength(1);
    expect(world.opsworks.records).toHaveLength(1);
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
