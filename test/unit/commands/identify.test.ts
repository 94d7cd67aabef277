import { expect, test } from 'vitest';
import { roster } from '../../../agent/watching/roster.ts';
import { bootstrap } from '../../../bootstrap/bootstrap.ts';
import { assetTag, identify } from '../../../commands/node/identify.ts';
import { openLog } from '../../../core/log.ts';
import { paths } from '../../../core/state/state.ts';
import { openFakeHost } from '../../fakes/host.ts';
import { plainConfig, signal } from '../bootstrap/stage.ts';
import { openMetadataService, openStage, someDocument } from './stage.ts';

const own = 'i-0aaaaaaaaaaaaaaaa';
const other = 'i-0bbbbbbbbbbbbbbbb';

interface Case {
  bootstrap?: string;
  firmware?: string;
  /** The metadata service names the other instance for this long. */
  wrongMs: number;
}

async function ask({ bootstrap, firmware, wrongMs }: Case) {
  const { host, world } = openFakeHost({ identity: { instanceId: wrongMs > 0 ? other : own } });
  const { clock, machine, metadata } = world;
  if (bootstrap !== undefined) machine.files.set(paths.bootstrap, bootstrap);
  if (firmware !== undefined) machine.files.set(assetTag, firmware);
  clock.schedule(wrongMs, () => (metadata.identity = { ...metadata.identity, instanceId: own }));
  const began = clock.uptime();
  const log = openLog(() => {}, clock.now);
  const done = identify(host, { log }, 3_600_000, new AbortController().signal);
  const { instanceId } = await clock.finish(done);
  return { instanceId, ms: clock.uptime() - began };
}

const stateOf = (instanceId: string) => JSON.stringify({ version: 1, instanceId });

test.each([
  ['the last bootstrap agrees', { bootstrap: stateOf(own), wrongMs: 0 }],
  [
    'the firmware agrees, and the image has the state of another instance',
    { bootstrap: stateOf(other), firmware: `${own}\n`, wrongMs: 0 },
  ],
])('the agent starts at once when %s', async (_, given) => {
  expect(await ask(given)).toEqual({ instanceId: own, ms: 0 });
});

// The agent drained another node, and stopped its tasks, when its own disk was full.
test.each([
  ['the last bootstrap', { bootstrap: stateOf(own), wrongMs: 30_000 }],
  ['the firmware', { firmware: own, wrongMs: 30_000 }],
  ['its own next answer, where nothing else is known', { wrongMs: 1_500 }],
  [
    'its own next answer, where the state is damaged',
    { bootstrap: '{"instanceId":', firmware: 'Amazon', wrongMs: 1_500 },
  ],
])('a wrong answer of the metadata service is not believed against %s', async (_, given) => {
  expect((await ask(given)).instanceId).toBe(own);
});

test('an instance whose image has the state of another one starts after a minute', async () => {
  const { instanceId, ms } = await ask({ bootstrap: stateOf(other), wrongMs: 0 });
  expect(instanceId).toBe(own);
  expect(ms).toBeLessThan(65_000);
});

/** The last bootstrap has read `known`, on this instance or where its image was made. */
function openBought(known: string, says: string, knownOf: string = own) {
  const { host, world, clock } = openFakeHost({ identity: { instanceId: own, purchase: says } });
  const identity = { ...world.identity, instanceId: knownOf, purchase: known };
  const state = { instanceId: knownOf, identity, startedAt: 0, attempts: 1, outcome: 'done', steps: [] };
  world.machine.files.set(paths.bootstrap, JSON.stringify(state));
  world.machine.files.set(assetTag, own);
  return { host, clock, find: () => clock.finish(identify(host, { log: host.log }, 3_600_000, signal)) };
}

// The agent reads its identity once. A spot instance was never watched for its interruption, and
// the termination protection of an on-demand instance would never be cleared.
test.each([
  ['is not believed against the last bootstrap: on-demand', 'spot', 'on-demand', own, undefined],
  ['is not believed against the last bootstrap: spot', 'on-demand', 'spot', own, undefined],
  ['is believed where the last bootstrap agrees: on-demand', 'on-demand', 'on-demand', own, 'on-demand'],
  ['is believed against the state of another instance: on-demand', 'spot', 'on-demand', other, 'on-demand'],
])('one purchase of the metadata service %s', async (_, known, says, knownOf, expected) => {
  const { purchase } = await openBought(known, says, knownOf).find();
  expect(purchase).toBe(expected);
});

test.each(['on-demand', 'spot'])('a spot instance is watched when its boot and its agent read "%s"', async (says) => {
  const { host, clock, find } = openBought('spot', says);
  const identity = await find();
  await clock.finish(bootstrap({ ...host, identity }, plainConfig(), signal));
  const watchers = roster(plainConfig(), await find(), () => 'unknown').map(({ name }) => name);
  expect(watchers).toContain('spot');
});

// The bootstrap tagged the other instance, cleared its protection, and forgot the own registration.
test('one wrong identity document at a boot changes no other instance, and forgets nothing', async () => {
  const stage = await openStage();
  let isFirst = true;
  const service = await openMetadataService({
    get 'dynamic/instance-identity/document'() {
      const instanceId = isFirst ? other : own;
      isFirst = false;
      return JSON.stringify({ ...someDocument, instanceId });
    },
    'user-data': '#ecs-node\ncluster: prod\nmetrics: {enabled: false}\nname: ""\n',
  });
  const before = { instanceId: own, startedAt: 0, attempts: 1, outcome: 'done', steps: [] };
  await stage.write(paths.bootstrap.slice(1), JSON.stringify({ ...before, firstBootId: 'first' }));
  const environment = { AWS_EC2_METADATA_SERVICE_ENDPOINT: service, AWS_ENDPOINT_URL: 'http://127.0.0.1:1' };
  await stage.run(['bootstrap'], { environment });
  expect(JSON.parse((await stage.read(paths.bootstrap))!)).toMatchObject({ instanceId: own, firstBootId: 'first' });
});
