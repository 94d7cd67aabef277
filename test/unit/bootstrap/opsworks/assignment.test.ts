import { describe, expect, it } from 'vitest';
import { renderPreconfig } from '../../../../bootstrap/registrars/opsworks/installer.ts';
import { Refused, Unavailable, exitCode } from '../../../../core/errors.ts';
import type { Host } from '../../../../core/host.ts';
import { layerId, opsworksConfig, setStage, stackId } from '../stage.ts';
import { addRecord } from './records.ts';

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

  const setUp = () => {
    const stage = setStage(
      opsworksConfig({
        opsworks: { stack: stackId, layer: 'ecs', waitForOnline: true },
        registration: { required: true },
        bootstrap: { timeoutSeconds: 300 },
      }),
    );
    Object.assign(stage.world.opsworks, { registersAfterMs: 110_000, setupTakesMs: 146_000 });
    return stage;
  };

  // The setup had ended long ago, but the last call hung to the end: the node was given up for
  // good.
  it('survives a call that hung while the result of the setup is unknown', async () => {
    const stage = setUp();
    stage.world.clock.schedule(274_000, () => stage.world.calls.hangs('readRegistration'));
    expect(exitCode(await stage.fail())).toBe(75);
  });

  it('survives a late answer that was true when the node asked', async () => {
    const { host, fail } = setUp();
    const readRegistration: Host['cloud']['readRegistration'] = async (id, signal) => {
      const record = await host.cloud.readRegistration(id, signal);
      if (host.clock.uptime() > 254_000) await host.clock.sleep(29_000, signal);
      return record;
    };
    expect(exitCode(await fail({ ...host, cloud: { ...host.cloud, readRegistration } }))).toBe(75);
  });
});
