import { describe, expect, it } from 'vitest';
import { Refused, exitCode } from '../../../../core/errors.ts';
import { paths } from '../../../../core/state/state.ts';
import { layerId, opsworksConfig, plainConfig, setStage, signal, stackId, type Stage } from '../stage.ts';
import { addRecord, countReads, hidesOnce } from './records.ts';

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
      expect(error.cause).toBeInstanceOf(Refused);
      expect(exitCode(error)).toBe(77);
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

describe('an existing OpsWorks record', () => {
  it('is used unchanged after a reboot', async () => {
    const { world, boot } = await bootedBefore();
    expect((await boot(world.reboot())).steps.find(({ name }) => name === 'register')).toMatchObject({
      state: 'unchanged',
    });
    expect(world.calls.of('run')).toEqual([]);
    expect(world.calls.of('findRegistration')).toEqual([]);
  });

  // The installer ran again on a node that was in service.
  it.each(['online', 'connection_lost', 'unassigning'])(
    'that is %s is used although one answer says that it is gone',
    async (status) => {
      const reboot = async (wrong: number) => {
        const { world, boot } = await bootedBefore({ status });
        const record = world.opsworks.records[0]!;
        world.clock.schedule(30_000, () => void (record.status = 'online'));
        const state = await boot(hidesOnce(world.reboot(), wrong));
        expect([state.registered?.id, world.opsworks.records.length], `read ${wrong}`).toEqual([record.id, 1]);
        expect(world.calls.of('run'), `read ${wrong}`).toEqual([]);
        return countReads({ world });
      };
      const reads = await reboot(Infinity);
      for (let wrong = 1; wrong <= reads; wrong++) await reboot(wrong);
    },
  );

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

  it.each(['unassigning', 'shutting_down', 'stopping', 'terminating'])('is replaced when %s ends', async (status) => {
    const { world, boot } = await bootedBefore({ status });
    const former = world.opsworks.records[0]!.id;
    world.clock.schedule(100_000, () => void (world.opsworks.records = []));
    expect((await boot(world.reboot())).registered?.id).not.toBe(former);
  });

  it.each([
    ['in a later boot', true],
    ['in the same boot', false],
  ])('is moved when the configuration names another layer, %s', async (_title, isLater) => {
    const stage = await bootedBefore({ status: 'online' });
    stage.world.opsworks.layers.push({ id: 'layer-2', stackId, shortName: 'other' });
    stage.config = opsworksConfig({ opsworks: { stack: stackId, layer: 'other' } });
    await stage.boot(isLater ? stage.world.reboot() : undefined);
    expect(stage.world.opsworks.records).toMatchObject([{ layerIds: ['layer-2'] }]);
    expect(stage.state().registered?.layerId).toBe('layer-2');
  });

  it('is left for a layer of the same name in another stack, in the same boot', async () => {
    const layer = 'ecs';
    const stage = await bootedBefore({ status: 'online' }, opsworksConfig({ opsworks: { stack: stackId, layer } }));
    const { stacks, layers } = stage.world.opsworks;
    stacks.push({ id: 'stack-2', name: 'second', region: 'us-east-1' });
    layers.push({ id: 'layer-2', stackId: 'stack-2', shortName: layer });
    stage.config = opsworksConfig({ opsworks: { stack: 'stack-2', layer } });
    await stage.boot();
    expect(stage.state().registered).toMatchObject({ stackId: 'stack-2', layerId: 'layer-2' });
  });

  it('is not looked up again by a second bootstrap in the same boot', async () => {
    const { world, boot } = await bootedBefore({ status: 'online' });
    await boot();
    expect([...world.calls.of('readStack'), ...world.calls.of('readLayer')]).toEqual([]);
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
