import { describe, expect, it, test } from 'vitest';
import { referencesOf, removableImages, stoppedHolders } from '../../../agent/images.ts';
import { readEcsSettings, readSetting } from '../../../agent/ecs-settings.ts';
import { cachingBehaviorOf, parseKeepList, readKept } from '../../../agent/kept-images.ts';
import { paths } from '../../../core/state/state.ts';
import { someImage } from '../../fakes/docker.ts';
import { openFakeHost } from '../../fakes/host.ts';
import { configOf } from './stage.ts';

const nothing = { patterns: [], agentRepositories: [] };
const names = (images: readonly { names: readonly string[] }[]) => images.map((image) => image.names[0]);

describe('the choice of removable images', () => {
  it('takes the oldest first, and none that a container uses, running or stopped', () => {
    const images = [someImage('app:3', 3), someImage('app:1', 1), someImage('app:2', 2), someImage('run:1', 1)];
    const containers = [
      { name: 'a', imageId: images[3]!.id, state: 'running' },
      { name: 'b', imageId: images[2]!.id, state: 'exited' },
    ];
    expect(names(removableImages(images, containers, nothing))).toEqual(['app:1', 'app:3']);
  });

  it.each([
    'amazon/amazon-ecs-pause:0.1.0',
    'amazon/amazon-ecs-pause:0.2.0',
    'amazon/amazon-ecs-agent:latest',
    'public.ecr.aws/ecs/amazon-ecs-agent:v1.106.1',
    'ecs-service-connect-agent:interface-v1',
    'ebs-csi-driver:latest',
    'next-daemon:latest',
  ])('never takes %s, which the ECS agent loads itself and no registry has', (name) => {
    const kept = { patterns: [], agentRepositories: ['next-daemon'] };
    expect(removableImages([someImage(name, 1)], [], kept)).toEqual([]);
  });

  it('takes an image without a known registry last, but not one without a name', () => {
    const local = { ...someImage('loaded:1', 1), digests: [] };
    const unnamed = { ...someImage('old:1', 2), names: [], digests: [] };
    expect(removableImages([local, someImage('app:1', 3), unnamed], [], nothing).map(({ id }) => id)).toEqual([
      unnamed.id,
      someImage('app:1', 3).id,
      local.id,
    ]);
  });

  it.each([
    ['app', ['app:1', 'app:2', 'docker.io/library/app:1'], ['app-two:1', 'team/app:1']],
    ['app:1', ['app:1'], ['app:11', 'app:2']],
    ['docker.io/library/app:1', ['app:1'], ['app:2']],
    [
      'registry.example.com:5000/base/*',
      ['registry.example.com:5000/base/jre:17'],
      ['registry.example.com:5000/app:1'],
    ],
    ['*/base:*', ['a/base:1', 'b/c/base:2'], ['base2:1']],
    ['app@sha256:6170', ['app:1'], ['app:2']],
  ])('keeps exactly the images that the pattern %s matches', (pattern, stay, go) => {
    const images = [...stay, ...go].map((name) =>
      pattern.includes('@') && stay.includes(name) ? { ...someImage(name, 1), digests: [pattern] } : someImage(name, 1),
    );
    expect(new Set(names(removableImages(images, [], { patterns: [pattern], agentRepositories: [] })))).toEqual(
      new Set(go),
    );
  });

  const digest = `sha256:${'b'.repeat(64)}`;
  const pinned = { ...someImage('app:1', 1), id: `sha256:${'c'.repeat(64)}`, digests: [`app@${digest}`] };

  it.each([
    [`app:1@${digest}`, pinned],
    [`docker.io/library/app:1@${digest}`, { ...pinned, names: [] }],
    [`app:1@${digest}`, { ...pinned, digests: [] }],
    ['c'.repeat(12), pinned],
    ['c'.repeat(64), pinned],
  ])('keeps an image for its tag or its digest, or for an id as Docker prints it: %s', (pattern, image) => {
    const other = { ...someImage('app:2', 1), digests: [`app@sha256:${'d'.repeat(64)}`] };
    const kept = { patterns: [pattern], agentRepositories: [] };
    expect(removableImages([image, other], [], kept)).toEqual([other]);
  });

  it.each([
    '"app:1"',
    "'app:1'",
    '- app:1',
    '- "app:1"',
    'https://app:1',
    'docker://app:1',
    'registry-1.docker.io/library/app:1',
    digest,
  ])('keeps an image whose name has one possible meaning: %s', (pattern) => {
    const other = { ...someImage('app:2', 1), digests: [`app@sha256:${'d'.repeat(64)}`] };
    const kept = { patterns: [pattern], agentRepositories: [] };
    expect(removableImages([pinned, other], [], kept)).toEqual([other]);
  });

  it('keeps an image under all its names when one of them is kept', () => {
    const both = { ...someImage('app:1', 1), names: ['app:1', 'base:1'] };
    expect(removableImages([both], [], { patterns: ['base'], agentRepositories: [] })).toEqual([]);
    const { id } = someImage('app:1', 1);
    expect(removableImages([both], [], { patterns: [id.slice(0, 20)], agentRepositories: [] })).toEqual([]);
  });

  it('removes an image with several names name by name, because Docker refuses its id', () => {
    expect(referencesOf({ ...someImage('app:1', 1), names: ['app:1', 'app:2'] })).toEqual(['app:1', 'app:2']);
    expect(referencesOf(someImage('app:1', 1))).toEqual([someImage('app:1', 1).id]);
  });

  it('names a stopped container only when it alone holds its image', () => {
    const containers = [
      { name: 'old', imageId: 'a', state: 'exited' },
      { name: 'busy', imageId: 'b', state: 'exited' },
      { name: 'runs', imageId: 'b', state: 'running' },
      { name: 'paused', imageId: 'c', state: 'paused' },
    ];
    expect(stoppedHolders(containers).map(({ name }) => name)).toEqual(['old']);
  });
});

test("obeys the configuration, the image's builder and the ECS agent's own exclusions", async () => {
  const { host, world } = openFakeHost();
  world.machine.files.set(`${paths.keepImages}/base.list`, '# pulled by Packer\nbase:1 \r\n\nregistry/x # why\n');
  world.machine.files.set(`${paths.keepImages}/README`, 'not a list');
  world.machine.files.set(paths.ecsConfig, 'ECS_EXCLUDE_UNTRACKED_IMAGE=a:1, b:2\n');
  world.machine.files.set(`${paths.agentDaemons}/ebs-csi-driver/ebs-csi-driver.tar`, '');
  const config = configOf({
    disk: { keepImages: ['mine'] },
    ecs: { settings: { ECS_EXCLUDE_UNTRACKED_IMAGE: 'c:3' } },
  });
  expect(await readKept(host, config, await readEcsSettings(host, config))).toEqual({
    patterns: ['mine', 'base:1', 'registry/x', 'a:1', 'b:2', 'c:3'],
    agentRepositories: ['ebs-csi-driver'],
  });
  expect(parseKeepList('/a.list', '')).toEqual([]);
  expect(world.log).toEqual([]);
});

// Such a line matched nothing: the images that it meant were removed without a word.
test.each([
  ['app:1 app:2', '"app:1 app:2"'],
  ['app:1, app:2', '"app:1, app:2"'],
  ['- name: app:1', '"- name: app:1"'],
  ['keep = app', '"keep = app"'],
])('names the file and the line where a list of images to keep has an odd line: %s', async (odd, told) => {
  const { host, world } = openFakeHost();
  world.machine.files.set(`${paths.keepImages}/base.list`, `# ours\nbase:1\n${odd} # why\n- "quoted:1"\n`);
  const config = configOf();
  const { patterns } = await readKept(host, config, await readEcsSettings(host, config));
  expect(patterns).toEqual(expect.arrayContaining(['base:1', '- "quoted:1"']));
  expect(world.log).toHaveLength(1);
  expect(world.log[0]).toMatchObject({
    level: 'warn',
    fields: { lines: [`${paths.keepImages}/base.list:3: ${told}`], hint: expect.stringContaining('one name a line') },
  });
});

test.each([
  ['ECS_IMAGE_PULL_BEHAVIOR=once\n', {}, 'once'],
  ['A=b\r\n  ECS_IMAGE_PULL_BEHAVIOR = "prefer-cached"\r\n', {}, 'prefer-cached'],
  [' export  ECS_IMAGE_PULL_BEHAVIOR=once\n', {}, 'once'],
  ['ECS_IMAGE_PULL_BEHAVIOR=once\nECS_IMAGE_PULL_BEHAVIOR=default\n', {}, undefined],
  ['# ECS_IMAGE_PULL_BEHAVIOR=once\nECS_IMAGE_PULL_BEHAVIOR=always\n', {}, undefined],
  ['', { ECS_IMAGE_PULL_BEHAVIOR: 'once' }, 'once'],
  ['', {}, undefined],
])('reads from %j and %j that images are pulled %s', async (text, settings, expected) => {
  const { host, world } = openFakeHost();
  if (text !== '') world.machine.files.set(paths.ecsConfig, text);
  expect(cachingBehaviorOf(await readEcsSettings(host, configOf({ ecs: { settings } })))).toBe(expected);
  expect(readSetting(text, 'NOT_THERE')).toBeUndefined();
});
