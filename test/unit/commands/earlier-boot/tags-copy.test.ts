/** Tags may name a lifecycle hook, and the metadata service may hide them at a boot. */

import { describe, expect, test } from 'vitest';
import { firstEffectiveWords } from '../../../../commands/agent.ts';
import { readOutsideAtBoot } from '../../../../commands/bootstrap.ts';
import { keepLastGood } from '../../../../commands/last-good.ts';
import { readConfig, type Effective } from '../../../../commands/node/effective.ts';
import { keepTags } from '../../../../commands/tags-copy.ts';
import { keepUserData } from '../../../../commands/user-data-copy.ts';
import { layersOf } from '../../../../config/sources/files.ts';
import { resolveConfig } from '../../../../config/load-config.ts';
import { openLog } from '../../../../core/log.ts';
import { paths } from '../../../../core/state/state.ts';
import { openFakeClock } from '../../../fakes/clock.ts';
import { emptyMachine, openMachine } from '../../../fakes/machine.ts';
import { emptyMetadata, openMetadata, someIdentity } from '../../../fakes/metadata.ts';
import { openMetadataService, openStage } from '../stage.ts';

const { signal } = new AbortController();
const configFile = '/etc/ecs-node/config.yaml';
const file = { path: configFile, text: 'cluster: prod\n' };
const hook = { 'ecs-node:autoScaling.terminateHook': 'drain-hook' };
const withAnother = { ...hook, 'ecs-node:name': 'web' };
const otherHook = { ...withAnother, 'ecs-node:autoScaling.terminateHook': 'other' };

/** A node that has booted once with `tags`. */
async function openNode(tags: Record<string, string> | undefined = withAnother) {
  const files = emptyMachine();
  files.files.set(file.path, file.text);
  const answers = emptyMetadata(someIdentity);
  answers.tags = tags;
  let asked = 0;
  const metadata = openMetadata(answers);
  const counted = {
    ...metadata,
    readTags: (...all: Parameters<typeof metadata.readTags>) => (asked++, metadata.readTags(...all)),
  };
  const local = { machine: openMachine(files), clock: openFakeClock(), metadata: counted };
  const warnings: string[] = [];
  const log = openLog(
    ({ fields }) => void warnings.push(JSON.stringify(fields)),
    () => 0,
  );
  const place = { configFile, configFileGiven: false, log };
  const agent = () => local.clock.finish(readConfig(local, place, signal));
  /** The files below /run are gone. */
  const boot = async (instanceId = someIdentity.instanceId, withinMs = 600_000) => {
    files.files.delete(paths.lastGood);
    const [began, before] = [local.clock.uptime(), asked];
    const outside = await local.clock.finish(readOutsideAtBoot(local, place, instanceId, withinMs, signal));
    const [ms, calls] = [local.clock.uptime() - began, asked - before];
    await keepUserData(local.machine, instanceId, outside, place.log);
    await keepTags(local.machine, instanceId, outside, place.log);
    const { config, warnings: found } = resolveConfig(layersOf([file]), [], outside);
    warnings.push(...found.map(({ problem }) => problem));
    await keepLastGood(local.machine, config, outside, place.log);
    return { hook: config.autoScaling.terminateHook, ms, calls };
  };
  await boot();
  return { files, answers, local, warnings, agent, boot };
}

const standard = 'ecs-node-terminate';
const minute = 60_000;

// Its own hook then got neither heartbeats nor its completion, and timed out under the tasks.
describe('a node that boots again', () => {
  test.each([
    ['hides its tags for the first 15 s', 15_000],
    ['shows its tags (control)', 0],
  ])('keeps the hook that a tag names when the metadata service %s', async (_, ms) => {
    const { answers, local, boot, agent } = await openNode();
    if (ms > 0) answers.tags = undefined;
    local.clock.schedule(ms, () => void (answers.tags = withAnother));
    expect((await boot()).hook).toBe('drain-hook');
    await local.clock.run(8_000);
    expect((await agent()).autoScaling.terminateHook).toBe('drain-hook');
  });

  // ECS takes some seconds to start between the bootstrap and the agent.
  test.each([
    ['leaves the tag out for 20 s', 20_000],
    ['leaves the tag out for 60 s', 60_000],
    ['lists it (control)', 0],
  ])('keeps the hook that a tag names when the metadata service %s', async (_, ms) => {
    const { answers, local, boot, agent } = await openNode();
    if (ms > 0) answers.tags = { 'ecs-node:name': 'web' };
    local.clock.schedule(ms, () => void (answers.tags = withAnother));
    expect(await boot()).toMatchObject({ hook: 'drain-hook', calls: 1, ms: 0 });
    for (let at = 0; at < 2 * minute; at += 8_000) {
      await local.clock.run(8_000);
      expect((await agent()).autoScaling.terminateHook).toBe('drain-hook');
    }
  });

  test.each([
    ['one of its tags', { 'ecs-node:name': 'web' }],
    ['its only tags', {}],
  ])('works without %s, which a person has removed, from the second look of its agent on', async (_, rest) => {
    const { files, answers, local, warnings, boot, agent } = await openNode();
    answers.tags = rest;
    expect((await boot()).hook).toBe('drain-hook');
    expect(warnings.join()).toContain('it counts until it has been missing for 75 s');
    await local.clock.run(74_000);
    expect((await agent()).autoScaling.terminateHook).toBe('drain-hook');
    await local.clock.run(1_000);
    expect((await agent()).autoScaling.terminateHook).toBe(standard);
    // The next boot does not know the tag any more, and the copy is still that of this instance.
    expect(await boot()).toMatchObject({ hook: standard, calls: 1, ms: 0 });
    const { instanceId } = someIdentity;
    const copy = files.files.get(paths.tags);
    expect(copy && JSON.parse(String(copy))).toEqual('ecs-node:name' in rest ? { instanceId, tags: rest } : undefined);
  });

  // A person may have switched the tags in the metadata off.
  test('goes on with the tags of an earlier boot after 20 s, also at the next boot, with a warning', async () => {
    const { answers, warnings, boot, agent } = await openNode();
    answers.tags = undefined;
    for (let boots = 1; boots <= 2; boots++) {
      const found = await boot();
      expect(found.hook).toBe('drain-hook');
      expect(found.ms).toBeGreaterThanOrEqual(20_000);
      expect(found.ms).toBeLessThan(30_000);
    }
    expect(warnings.join()).toContain(`remove ${paths.tags} to boot without them`);
    expect((await agent()).autoScaling.terminateHook).toBe('drain-hook');
  });

  // The agent worked with another hook, or the node with another cluster, until the next boot.
  test.each([
    ['in one answer', 1],
    ['for 60 s', 60_000],
    ['never (control)', 0],
  ])('keeps the hook that a tag names when the metadata service gives another value %s', async (_, ms) => {
    const { files, answers, local, boot, agent } = await openNode();
    if (ms > 0) answers.tags = otherHook;
    local.clock.schedule(ms, () => void (answers.tags = withAnother));
    const found = await boot();
    expect(found.hook).toBe('drain-hook');
    expect(found.ms).toBeLessThan(ms + 6_000);
    expect((await agent()).autoScaling.terminateHook).toBe('drain-hook');
    expect(JSON.parse(String(files.files.get(paths.tags)))).toMatchObject({ tags: withAnother });
  });

  test('takes a tag that a person has changed after 75 s, once', async () => {
    const { answers, boot, agent } = await openNode();
    answers.tags = otherHook;
    const found = await boot();
    expect(found.hook).toBe('other');
    expect(found.ms).toBeGreaterThanOrEqual(75_000);
    expect(found.ms).toBeLessThan(85_000);
    expect((await agent()).autoScaling.terminateHook).toBe('other');
    expect(await boot()).toMatchObject({ hook: 'other', calls: 1, ms: 0 });
  });

  test('takes a tag that a person has changed after half of its time where it has less', async () => {
    const { answers, boot } = await openNode();
    answers.tags = otherHook;
    const found = await boot(someIdentity.instanceId, 60_000);
    expect(found.hook).toBe('other');
    expect(found.ms).toBeGreaterThanOrEqual(30_000);
    expect(found.ms).toBeLessThan(40_000);
  });

  test('believes no value that is different each time', async () => {
    const { files, answers, local, boot } = await openNode();
    let count = 0;
    const change = () => {
      answers.tags = { ...withAnother, 'ecs-node:autoScaling.terminateHook': `other-${++count}` };
      local.clock.schedule(10_000, change);
    };
    change();
    await expect(boot()).rejects.toThrow(/another value of tag ecs-node:autoScaling.terminateHook/);
    expect(JSON.parse(String(files.files.get(paths.tags)))).toMatchObject({ tags: withAnother });
  });

  test('takes a new tag at once', async () => {
    const { answers, boot } = await openNode({ 'ecs-node:name': 'web' });
    answers.tags = withAnother;
    expect(await boot()).toMatchObject({ hook: 'drain-hook', calls: 1, ms: 0 });
  });

  test.each([
    ['whose metadata shows none', undefined],
    ['without tags', {}],
    ['with tags that are no settings', { Name: 'web' }],
  ])('asks once, and waits for nothing: a node %s', async (_, tags) => {
    const { files, answers, boot } = await openNode(tags ?? {});
    answers.tags = tags;
    expect(await boot()).toMatchObject({ hook: standard, calls: 1, ms: 0 });
    expect(files.files.has(paths.tags)).toBe(false);
  });

  test.each([
    ['of another instance, which came with its image', JSON.stringify({ instanceId: 'i-1', tags: hook })],
    ['that is damaged', '{"instanceId":'],
    ['of another shape', JSON.stringify({ instanceId: someIdentity.instanceId, tags: { a: 5 } })],
  ])('does not use a copy %s', async (_, text) => {
    const { files, answers, boot } = await openNode();
    files.files.set(paths.tags, text);
    answers.tags = undefined;
    expect(await boot()).toMatchObject({ hook: standard, calls: 1, ms: 0 });
  });
});

// The agent reads its configuration once, and worked with another hook until its next start.
describe('an agent that starts again', () => {
  test.each([
    ['leaves the tag out for 10 s', 10_000, { 'ecs-node:name': 'web' }],
    ['leaves the tag out for 60 s', 60_000, { 'ecs-node:name': 'web' }],
    ['gives another value for 10 s', 10_000, otherHook],
    ['gives another value for 60 s', 60_000, otherHook],
    ['lists it (control)', 0, withAnother],
  ])('keeps the hook that a tag names when the metadata service %s', async (_, ms, wrong) => {
    const { files, answers, local, agent } = await openNode();
    answers.tags = wrong;
    local.clock.schedule(ms, () => void (answers.tags = withAnother));
    for (let at = 0; at < 2 * minute; at += 8_000) {
      expect((await agent()).autoScaling.terminateHook).toBe('drain-hook');
      await local.clock.run(8_000);
    }
    expect(JSON.parse(String(files.files.get(paths.tags)))).toMatchObject({ tags: withAnother });
  });

  test('works with a tag that a person has changed from the second look on, as does the next boot', async () => {
    const { answers, local, warnings, boot, agent } = await openNode();
    answers.tags = otherHook;
    expect((await agent()).autoScaling.terminateHook).toBe('drain-hook');
    expect(warnings.join()).toContain('gives it another value');
    await local.clock.run(75_000);
    expect((await agent()).autoScaling.terminateHook).toBe('other');
    expect(await boot()).toMatchObject({ hook: 'other', calls: 1, ms: 0 });
  });

  test('counts anew after a third value', async () => {
    const { answers, local, agent } = await openNode();
    for (let count = 1; count <= 3; count++) {
      answers.tags = { 'ecs-node:autoScaling.terminateHook': `other-${count}`, 'ecs-node:name': 'web' };
      expect((await agent()).autoScaling.terminateHook).toBe('drain-hook');
      await local.clock.run(50_000);
    }
  });

  // Two wrong lists, weeks apart, are each wrong for a moment.
  test.each([
    ['without the tag', { 'ecs-node:name': 'web' }],
    ['with another value', otherHook],
  ])('counts anew after a right list between two %s', async (_, wrong) => {
    const { answers, local, agent } = await openNode();
    for (let week = 1; week <= 2; week++) {
      answers.tags = wrong;
      expect((await agent()).autoScaling.terminateHook).toBe('drain-hook');
      await local.clock.run(2 * minute);
      answers.tags = withAnother;
      await agent();
    }
  });

  test.each([
    ['an older version has written', undefined],
    ['is damaged', 'x'],
    ['holds another kind of value', { 'ecs-node:autoScaling.terminateHook': 'x' }],
    ['holds another kind of time', { 'ecs-node:autoScaling.terminateHook': { since: 'x' } }],
    ['lies in the future', { 'ecs-node:autoScaling.terminateHook': { since: 1e300 } }],
    ['is about a value', { 'ecs-node:autoScaling.terminateHook': { since: -100_000, value: 'other' } }],
  ])('waits 75 s where the note of the doubted tags %s', async (_, doubted) => {
    const { files, answers, local, agent } = await openNode();
    const kept = JSON.parse(String(files.files.get(paths.lastGood))) as object;
    files.files.set(paths.lastGood, JSON.stringify({ ...kept, doubted }));
    answers.tags = { 'ecs-node:name': 'web' };
    expect((await agent()).autoScaling.terminateHook).toBe('drain-hook');
    await local.clock.run(75_000);
    expect((await agent()).autoScaling.terminateHook).toBe(standard);
  });

  test('takes a new tag at once while another is missing', async () => {
    const { answers, agent } = await openNode({ 'ecs-node:name': 'web' });
    answers.tags = hook;
    expect(await agent()).toMatchObject({ name: 'web', autoScaling: { terminateHook: 'drain-hook' } });
  });
});

test.each([
  ['is missing', '', undefined],
  ['has another value', 'ecs-node:autoScaling.terminateHook\n', 'other'],
])('the agent learns when to look again for a tag that %s', async (_, listed, value) => {
  const stage = await openStage();
  await stage.write(configFile.slice(1), file.text);
  const key = 'ecs-node:autoScaling.terminateHook';
  const name = 'ecs-node:name';
  const answers: Record<string, string> = {
    'meta-data/tags/instance/': `${key}\n${name}`,
    [`meta-data/tags/instance/${key}`]: 'drain-hook',
    [`meta-data/tags/instance/${name}`]: 'web',
  };
  const environment = { AWS_EC2_METADATA_SERVICE_ENDPOINT: await openMetadataService(answers) };
  const start = async () => JSON.parse((await stage.run(firstEffectiveWords, { environment })).printed) as Effective;
  expect(await start()).not.toHaveProperty('lookAgainMs');
  answers['meta-data/tags/instance/'] = `${listed}${name}`;
  answers[`meta-data/tags/instance/${key}`] = value ?? 'drain-hook';
  const terminateHook = 'drain-hook';
  expect(await start()).toMatchObject({ lookAgainMs: 75_000, config: { autoScaling: { terminateHook } } });
  answers['meta-data/tags/instance/'] = `${key}\n${name}`;
  answers[`meta-data/tags/instance/${key}`] = 'drain-hook';
  expect(await start()).not.toHaveProperty('lookAgainMs');
});
