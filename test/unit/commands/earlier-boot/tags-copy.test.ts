/** Tags may name a lifecycle hook, and the metadata service may hide them at a boot. */

import { describe, expect, test } from 'vitest';
import { readOutsideAtBoot } from '../../../../commands/bootstrap.ts';
import { keepLastGood } from '../../../../commands/last-good.ts';
import { readConfig } from '../../../../commands/node/effective.ts';
import { keepTags } from '../../../../commands/tags-copy.ts';
import { keepUserData } from '../../../../commands/user-data-copy.ts';
import { layersOf } from '../../../../config/sources/files.ts';
import { resolveConfig } from '../../../../config/load-config.ts';
import { openLog } from '../../../../core/log.ts';
import { paths } from '../../../../core/state/state.ts';
import { openFakeClock } from '../../../fakes/clock.ts';
import { emptyMachine, openMachine } from '../../../fakes/machine.ts';
import { emptyMetadata, openMetadata, someIdentity } from '../../../fakes/metadata.ts';

const { signal } = new AbortController();
const configFile = '/etc/ecs-node/config.yaml';
const file = { path: configFile, text: 'cluster: prod\n' };
const hook = { 'ecs-node:autoScaling.terminateHook': 'drain-hook' };
const withAnother = { ...hook, 'ecs-node:name': 'web' };

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
  const boot = async (instanceId = someIdentity.instanceId) => {
    files.files.delete(paths.lastGood);
    const [began, before] = [local.clock.uptime(), asked];
    const outside = await local.clock.finish(readOutsideAtBoot(local, place, instanceId, 600_000, signal));
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

  test.each([
    ['a moment', 2_000, 'drain-hook'],
    ['good: a person has removed the tag', Infinity, standard],
  ])('reads a list again that lacks the tag for %s', async (_, ms, expected) => {
    const { answers, local, boot, agent } = await openNode();
    answers.tags = { 'ecs-node:name': 'web' };
    if (ms < Infinity) local.clock.schedule(ms, () => void (answers.tags = withAnother));
    const found = await boot();
    expect(found).toMatchObject({ hook: expected, calls: 2 });
    expect(found.ms).toBeLessThan(5_000);
    expect((await agent()).autoScaling.terminateHook).toBe(expected);
    // The next boot keeps the result, and asks only once.
    expect(await boot()).toMatchObject({ hook: expected, calls: 1 });
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

  test('takes a changed tag, and a new one, at once', async () => {
    const { answers, boot } = await openNode();
    answers.tags = { ...withAnother, 'ecs-node:autoScaling.terminateHook': 'other', 'ecs-node:hostname': 'a' };
    expect(await boot()).toMatchObject({ hook: 'other', calls: 1, ms: 0 });
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

test('an agent that starts again reads a list again that lacks a tag for a moment', async () => {
  const { answers, local, agent } = await openNode();
  answers.tags = { 'ecs-node:name': 'web' };
  local.clock.schedule(2_000, () => void (answers.tags = withAnother));
  expect((await agent()).autoScaling.terminateHook).toBe('drain-hook');
});
