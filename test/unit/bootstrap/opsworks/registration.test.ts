import { describe, expect, it } from 'vitest';
import type { Config } from '../../../../config/config.ts';
import { Unavailable, exitCode } from '../../../../core/errors.ts';
import type { Host } from '../../../../core/host.ts';
import { opsworksConfig, setStage, stackId } from '../stage.ts';

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

  it('is tried again later when the machine stood still meanwhile', async () => {
    const { world, fail } = setStage(opsworksConfig());
    world.opsworks.registersAs = 'registering';
    world.clock.schedule(120_000, () => world.clock.standStill(300_000));
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
