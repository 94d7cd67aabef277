import { expect, onTestFinished, test, vi } from 'vitest';
import { runBootstrap } from '../../../../commands/node/bootstrap-command.ts';
import { Refused, messageOf } from '../../../../core/errors.ts';
import type { Cloud, Registration } from '../../../../core/host.ts';
import { someHook } from '../../../fakes/cloud/group.ts';
import { openFakeHost } from '../../../fakes/host.ts';
import { layerId, opsworksConfig, signal, stackId } from '../stage.ts';
import { installer, refusal } from './records.ts';

type Fake = ReturnType<typeof openFakeHost>;

const minute = 60_000;

/** OpsWorks alone is wrong: the function returns true for `ms`, from its first call on. */
function openLie({ clock }: Fake, ms: number): () => boolean {
  let until: number | undefined;
  return () => clock.uptime() < (until ??= clock.uptime() + ms);
}

function withCloud({ host }: Fake, cloud: Partial<Cloud>): Fake['host'] {
  return { ...host, cloud: { ...host.cloud, ...cloud } };
}

type Lie = (truth: Registration) => Registration | undefined;

/** Lies for `ms`, from the first record on that `when` accepts. */
function lying(fake: Fake, ms: number, lie: Lie, when: (truth: Registration) => boolean): Fake['host'] {
  const lies = openLie(fake, ms);
  let began = false;
  const { cloud } = fake.host;
  return withCloud(fake, {
    async readRegistration(...args) {
      const truth = await cloud.readRegistration(...args);
      if (truth === undefined) return undefined;
      began ||= when(truth);
      return began && lies() ? lie(truth) : truth;
    },
  });
}

const isRegistering = ({ status }: Registration) => status === 'registering';
const isInLayer = ({ layerIds }: Registration) => layerIds.length > 0;

const stopped: Lie = (truth) => ({ ...truth, status: 'stopped' });
const isGone: Lie = () => undefined;

function refusingInstaller(fake: Fake, ms: number): Fake['host'] {
  const lies = openLie(fake, ms);
  const { programs } = fake.world.machine;
  const real = programs.get(installer)!;
  programs.set(installer, async (command, callSignal) => {
    if (!lies()) return real(command, callSignal);
    await fake.clock.sleep(1_000, callSignal);
    return { code: 1, tail: `${refusal}\n` };
  });
  return fake.host;
}

function refusingAssign(fake: Fake, ms: number): Fake['host'] {
  const lies = openLie(fake, ms);
  return withCloud(fake, {
    async assign(...args) {
      if (lies()) throw new Refused('this layer takes no instance now', { code: 'ValidationException' });
      await fake.host.cloud.assign(...args);
    },
  });
}

/** Its lists show the record as being removed, and about the record itself it knows nothing. */
function removing(fake: Fake, ms: number): Fake['host'] {
  const lies = openLie(fake, ms);
  const { cloud } = fake.host;
  return withCloud(fake, {
    async findRegistration(...args) {
      const truth = await cloud.findRegistration(...args);
      return truth !== undefined && lies() ? { ...truth, status: 'deregistering' } : truth;
    },
    readRegistration: async (...args) => (lies() ? undefined : cloud.readRegistration(...args)),
  });
}

const ways: [string, (fake: Fake, ms: number) => Fake['host']][] = [
  ['says that its record is stopped', (fake, ms) => lying(fake, ms, stopped, isRegistering)],
  ['says that its new record is gone', (fake, ms) => lying(fake, ms, isGone, isRegistering)],
  ['says that its assigned record is gone', (fake, ms) => lying(fake, ms, isGone, isInLayer)],
  ['says that its setup failed', (fake, ms) => lying(fake, ms, stopped, isInLayer)],
  ['refuses RegisterInstance', refusingInstaller],
  ['refuses to assign it', refusingAssign],
  ['says that its new record is being removed', removing],
];

const ends = ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff'];

async function launch(wrong: (typeof ways)[number][1], ms: number) {
  // The installer's last refusal comes at 66 s, and its next try at 79 s.
  const random = vi.spyOn(Math, 'random').mockReturnValue(0.5);
  onTestFinished(() => void random.mockRestore());
  const fake = openFakeHost();
  const { world, clock } = fake;
  const group = world.joinGroup();
  group.hooks.push(someHook('ecs-node-launch', 'launch', { heartbeatSeconds: 60 }));
  group.begin('launch');
  const config = opsworksConfig({
    opsworks: { stack: stackId, layer: 'ecs', waitForOnline: true },
    registration: { required: true },
  });
  const began = clock.uptime();
  const error = await clock.finish(runBootstrap(wrong(fake, ms), config, signal).then(() => undefined, messageOf));
  const deaths = world.calls.verbs().filter((verb) => ends.includes(verb));
  return { ended: deaths.length > 0 || group.hooks[0]!.ended === 'ABANDON', error, tookMs: clock.uptime() - began };
}

// At a first boot, the group says Pending:Wait of every node, and ECS has no record of any. So
// OpsWorks alone ended a healthy node within half a minute.
test.each(ways)('a launching node stays when OpsWorks alone %s for 70 s', async (_what, wrong) => {
  expect(await launch(wrong, 70_000)).toMatchObject({ ended: false, error: undefined });
  expect(await launch(wrong, 0)).toMatchObject({ ended: false, error: undefined });
});

test.each(ways)('a launching node leaves when OpsWorks %s and goes on saying so', async (_what, wrong) => {
  const { ended, tookMs } = await launch(wrong, Infinity);
  expect(ended).toBe(true);
  expect(tookMs).toBeLessThan(6 * minute);
});

/** A node that has served for a month; `own` are its layers. */
async function serve(own: string[], config = opsworksConfig()) {
  const fake = openFakeHost();
  const { host, world, clock } = fake;
  world.joinGroup();
  await clock.finish(runBootstrap(host, config, signal));
  world.metadata.targetState = 'InService';
  await clock.run(30 * 24 * 60 * minute);
  const record = world.opsworks.records[0]!;
  record.layerIds = own;
  world.calls.list.length = 0;
  const reboot = (on: (rebooted: Fake) => Fake['host'] = (rebooted) => rebooted.host) =>
    clock.finish(runBootstrap(on({ ...fake, host: world.reboot() }), config, signal));
  const changes = () => world.calls.verbs().filter((verb) => verb === 'unassign' || verb === 'assign');
  return { clock, world, record, reboot, changes };
}

const otherLayer = '44444444-4444-4444-8444-444444444444';
const elsewhere: Lie = (truth) => ({ ...truth, layerIds: [otherLayer] });

// One answer that named another layer took a node in service out of its layers for good.
test.each([
  ['names another layer', [layerId], 70_000],
  ['leaves out one of its two layers', [layerId, otherLayer], 70_000],
  ['names its layer (control)', [layerId], 0],
])('a node in service keeps its layers at a reboot when OpsWorks %s for 70 s', async (_what, own, ms) => {
  const { record, reboot, changes } = await serve(own);
  await reboot((fake) => lying(fake, ms, elsewhere, isInLayer));
  expect(record).toMatchObject({ status: 'online', layerIds: own });
  expect(changes()).toEqual([]);
});

// The node took its record, which was still leaving the layer, for one that was in it.
test('a node returns into its layer when OpsWorks was wrong for so long that the node has left it', async () => {
  const { clock, record, reboot, changes } = await serve([layerId]);
  await reboot((fake) => lying(fake, 85_000, elsewhere, isInLayer));
  await clock.run(10 * minute);
  expect(record).toMatchObject({ status: 'online', layerIds: [layerId] });
  expect(changes()).toEqual(['unassign', 'assign']);
});

const otherStack = '77777777-7777-4777-8777-777777777777';

/** A node of the stack `demo`, by its name, and another stack with a layer of the same name. */
async function serveByName() {
  const served = await serve([layerId], opsworksConfig({ opsworks: { stack: 'demo', layer: 'ecs' } }));
  const { stacks, layers } = served.world.opsworks;
  stacks.push({ id: otherStack, name: 'staging', region: 'us-east-1' });
  layers.push({ id: otherLayer, stackId: otherStack, shortName: 'ecs' });
  layers.push({ id: 'batch', stackId, shortName: 'batch' });
  return served;
}

/** For `ms`, the configured name of the stack, or of the layer, has the id of another. */
function misnaming(fake: Fake, kind: 'stack' | 'layer', ms: number): Fake['host'] {
  const lies = openLie(fake, ms);
  const { cloud } = fake.host;
  return withCloud(fake, {
    async readStack(...args) {
      const truth = await cloud.readStack(...args);
      return truth !== undefined && kind === 'stack' && lies() ? { ...truth, id: otherStack } : truth;
    },
    async readLayer(...args) {
      const truth = await cloud.readLayer(...args);
      return truth !== undefined && kind === 'layer' && lies() ? { ...truth, id: 'batch' } : truth;
    },
  });
}

// One answer that gave the configured name another id moved a node in service there for good.
test.each([
  ['stack', 'for one answer', 1],
  ['stack', 'for 70 s', 70_000],
  ['layer', 'for one answer', 1],
  ['layer', 'for 70 s', 70_000],
  ['layer', 'never (control)', 0],
] as const)('a node in service keeps its record when its name is that of another %s %s', async (kind, _how, ms) => {
  const { world, record, reboot, changes } = await serveByName();
  await reboot((fake) => misnaming(fake, kind, ms));
  expect(world.opsworks.records).toEqual([record]);
  expect(record).toMatchObject({ stackId, status: 'online', layerIds: [layerId] });
  expect(changes()).toEqual([]);
});

// A person has named another one.
test.each([
  ['stack', otherStack, otherLayer],
  ['layer', stackId, 'batch'],
] as const)('a node in service moves when its name stays that of another %s', async (kind, stack, layer) => {
  const { clock, world, reboot } = await serveByName();
  const began = clock.uptime();
  await reboot((fake) => misnaming(fake, kind, Infinity));
  expect(world.opsworks.records).toMatchObject([{ stackId: stack, layerIds: [layer] }]);
  expect(clock.uptime() - began).toBeLessThan(6 * minute);
});
