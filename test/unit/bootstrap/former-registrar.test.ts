/** The configuration names another registrar, and the former one refuses or is gone. */

import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { opsworksConfig, plainConfig, setStage, type Stage } from './stage.ts';

const minute = 60_000;

/** The node was registered with OpsWorks, and booted with a configuration without a registrar. */
async function moved(error: Error): Promise<Stage> {
  const stage = setStage(opsworksConfig());
  await stage.boot();
  stage.config = plainConfig();
  stage.world.calls.fails('readRegistration', error);
  await stage.boot(stage.world.reboot());
  stage.world.calls.heals();
  return stage;
}

const denied = () => new Refused('not authorized', { code: 'AccessDeniedException' });
const gone = () => new Unavailable('getaddrinfo ENOTFOUND opsworks.us-east-1.amazonaws.com');

describe('a former registrar', () => {
  it.each([
    ['refuses', denied],
    ['is gone', gone],
  ])('that %s keeps no node from booting, and the log names the remedy', async (_how, error) => {
    const stage = setStage(opsworksConfig());
    const { registered } = await stage.boot();
    stage.config = plainConfig();
    stage.world.calls.fails('readRegistration', error());
    const began = stage.world.clock.uptime();
    await stage.boot(stage.world.reboot());
    expect(stage.state()).toMatchObject({ outcome: 'done', registered: { registrar: 'none' }, former: [registered] });
    expect(stage.world.clock.uptime() - began).toBeLessThanOrEqual(2 * minute);
    expect(stage.world.machine.console.join()).toMatch(/former registrar opsworks stays.*deregister the node there/);
    const again = stage.world.clock.uptime();
    await stage.boot(stage.world.reboot());
    expect(stage.state()).toMatchObject({ outcome: 'done', former: [registered] });
    expect(stage.world.clock.uptime() - again).toBeLessThanOrEqual(minute);
  });

  it('leaves the bootstrap half of its time where its answers take hours', async () => {
    const stage = setStage(opsworksConfig());
    await stage.boot();
    stage.config = plainConfig();
    stage.world.opsworks.unassignTakesMs = 10 ** 9;
    stage.world.calls.delays('deregister', 10 ** 9);
    const began = stage.world.clock.uptime();
    expect((await stage.boot(stage.world.reboot())).outcome).toBe('done');
    expect(stage.world.clock.uptime() - began).toBeLessThanOrEqual(6 * minute);
  });

  it('is left at the next boot at which it answers', async () => {
    const stage = await moved(gone());
    expect(stage.world.opsworks.records).toHaveLength(1);
    await stage.boot(stage.world.reboot());
    await stage.world.clock.run(minute);
    expect(stage.world.opsworks.records).toEqual([]);
    expect(stage.state().former).toBeUndefined();
  });

  // OpsWorks refuses a second registration of one instance in a stack, which ends the node.
  it('has the node already when the configuration names it again', async () => {
    const stage = await moved(denied());
    const [record] = stage.world.opsworks.records;
    stage.config = opsworksConfig();
    const state = await stage.boot(stage.world.reboot());
    expect(state.registered?.id).toBe(record?.id);
    expect(state.former).toBeUndefined();
    expect(stage.world.opsworks.records).toMatchObject([{ id: record?.id, layerIds: record?.layerIds }]);
  });
});
