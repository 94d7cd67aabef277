/** An answer of the metadata service may hold a part of the user data only. */

import { describe, expect, test } from 'vitest';
import { readOutsideAtBoot, untilComplete } from '../../../../commands/bootstrap.ts';
import { keepLastGood } from '../../../../commands/last-good.ts';
import { readConfig } from '../../../../commands/node/effective.ts';
import { keepTags } from '../../../../commands/tags-copy.ts';
import { keepUserData, readUserDataCopy } from '../../../../commands/user-data-copy.ts';
import type { Config } from '../../../../config/config.ts';
import { layersOf } from '../../../../config/sources/files.ts';
import { resolveConfig } from '../../../../config/load-config.ts';
import { ConfigError, Unavailable } from '../../../../core/errors.ts';
import { openLog } from '../../../../core/log.ts';
import { paths } from '../../../../core/state/state.ts';
import { openFakeClock } from '../../../fakes/clock.ts';
import { emptyMachine, openMachine } from '../../../fakes/machine.ts';
import { emptyMetadata, openMetadata, someIdentity } from '../../../fakes/metadata.ts';

const { signal } = new AbortController();
const { instanceId } = someIdentity;
const place = {
  configFile: '/etc/ecs-node/config.yaml',
  configFileGiven: false,
  log: openLog(
    () => {},
    () => 0,
  ),
};

const whole = '#ecs-node\ncluster: prod\nautoScaling: {launchHook: web-launch}\nhostname: "web-{shortId}"\n';
const cuts = [
  ['inside of a text, as a fault', whole.slice(0, -5)],
  ['at the end of a line, as valid settings', whole.slice(0, whole.indexOf('auto'))],
  ['inside of a word', whole.slice(0, whole.indexOf('od\n'))],
  ['before its settings', '#!/bin/sh\n'],
] as const;

/** How a boot ended, and the questions about the user data that it took. */
interface Boot {
  ms: number;
  calls: number;
  config?: Config;
  error?: Error;
}

/** A node with the user data `text` that has not booted yet. */
function openNode(text = whole) {
  const files = emptyMachine();
  const answers = emptyMetadata(someIdentity);
  const metadata = openMetadata(answers);
  let asked = 0;
  const give = (now: string) => void (answers.userData = Buffer.from(now));
  const clock = openFakeClock();
  const counted = {
    ...metadata,
    readUserData: (callSignal: AbortSignal) => (asked++, metadata.readUserData(callSignal)),
  };
  const local = { machine: openMachine(files), clock, metadata: counted };
  give(text);

  /** The files below /run are gone. */
  const boot = async (withinMs = 600_000): Promise<Boot> => {
    const read = async () => {
      const outside = await readOutsideAtBoot(local, place, instanceId, withinMs, signal);
      return { outside, resolve: () => resolveConfig(layersOf([]), [], outside) };
    };
    files.files.delete(paths.lastGood);
    const [began, before] = [clock.uptime(), asked];
    const ended = untilComplete(clock, withinMs, signal, read).catch((error: unknown) => error as Error);
    const found = await clock.finish(ended);
    const cost = { ms: clock.uptime() - began, calls: asked - before };
    if (found instanceof Error) return { error: found, ...cost };
    const { outside, loaded } = found;
    await keepUserData(local.machine, instanceId, outside, place.log);
    await keepTags(local.machine, instanceId, outside, place.log);
    await keepLastGood(local.machine, loaded.config, outside, place.log);
    return { config: loaded.config, ...cost };
  };
  const agent = () => clock.finish(readConfig(local, place, signal));
  /** The metadata service gives `part` for `ms`. */
  const cut = (part: string, ms: number) => {
    give(part);
    clock.schedule(ms, () => give(whole));
  };
  const copy = async () => (await readUserDataCopy(local.machine))?.parts.map(({ text: kept }) => kept).join();
  const showTags = (tags: Record<string, string> | undefined) => void (answers.tags = tags);
  return { clock, give, cut, showTags, boot, agent, copy };
}

const settings = { cluster: 'prod', hostname: 'web-{shortId}', autoScaling: { launchHook: 'web-launch' } };

// Exit 78, after which systemd never tries again, or a boot without the hooks and the registrar.
describe('a node that boots again', () => {
  test.each(cuts.flatMap(([what, part]) => [0, 15_000, 60_000].map((ms) => [what, ms, part] as const)))(
    'keeps its settings when the user data is cut off %s, for %i ms',
    async (_, ms, part) => {
      const { boot, cut, copy } = openNode();
      await boot();
      cut(part, ms);
      const found = await boot();
      expect(found.config).toMatchObject(settings);
      expect(found.ms).toBeLessThan(ms + 6_000);
      expect(await copy()).toBe(whole);
    },
  );

  test.each([
    ['the same user data', whole],
    [
      'the same settings beside another script',
      `#cloud-config-archive\n- "#!/bin/sh"\n- {type: application/x-ecs-node, content: ${JSON.stringify(whole)}}\n`,
    ],
  ])('asks once, and waits for nothing: %s', async (_, text) => {
    const { boot, give } = openNode();
    await boot();
    give(text);
    expect(await boot()).toMatchObject({ config: settings, ms: 0, calls: 1 });
  });

  test.each([
    ['75 s', 600_000, 75_000],
    ['half of its time where it has less', 60_000, 30_000],
  ])('takes user data that a person has changed while it was stopped after %s, once', async (_, withinMs, ms) => {
    const { boot, give, copy } = openNode();
    await boot();
    const changed = whole.replace('web-launch', 'new-launch');
    give(changed);
    const found = await boot(withinMs);
    expect(found.config?.autoScaling.launchHook).toBe('new-launch');
    expect(found.ms).toBeGreaterThanOrEqual(ms);
    expect(found.ms).toBeLessThan(ms + 10_000);
    expect(await copy()).toBe(changed);
    expect(await boot()).toMatchObject({ ms: 0, calls: 1 });
  });

  test('names every fault of a person who has changed the user data while it was stopped', async () => {
    const { boot, give } = openNode();
    await boot();
    give('#ecs-node\ncluster: "no such name"\nregistrar: none such\n');
    const { error, ms } = await boot();
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toMatch(/cluster: [^]*registrar: /);
    expect(ms).toBeLessThan(85_000);
  });

  // It listed the tags again only after the user data was right.
  test('counts anew after a right answer in between', async () => {
    const { boot, give, showTags, clock, copy } = openNode();
    const tags = { 'ecs-node:name': 'web' };
    showTags(tags);
    await boot();
    showTags(undefined);
    clock.schedule(15_000, () => showTags(tags));
    give(whole.replace('prod', 'other'));
    clock.schedule(5_000, () => give(whole));
    clock.schedule(14_000, () => give(whole.replace('prod', 'other')));
    clock.schedule(79_000, () => give(whole));
    const found = await boot();
    expect(found.config?.cluster).toBe('prod');
    expect(found.ms).toBeGreaterThanOrEqual(79_000);
    expect(await copy()).toBe(whole);
  });

  test('believes no answer that is different each time', async () => {
    const { boot, give, clock, copy } = openNode();
    await boot();
    let answers = 0;
    const change = () => {
      give(`#ecs-node\n# ${++answers}\n`);
      clock.schedule(100, change);
    };
    change();
    expect((await boot()).error).toBeInstanceOf(Unavailable);
    expect(await copy()).toBe(whole);
  });
});

describe('a node that boots for the first time', () => {
  test.each([
    ['inside of a text', whole.slice(0, -5)],
    ['before its cluster', '#ecs-node\n'],
    ['before its settings', '#!/bin/sh\n'],
    ['inside of a word', `${whole}registrar: op`],
  ])('looks again at user data that is cut off %s', async (_, part) => {
    const { boot, cut } = openNode();
    cut(part, 1_000);
    expect(await boot()).toMatchObject({ config: settings, calls: 2 });
  });

  test('names every fault of a person after a second look', async () => {
    const { boot } = openNode('#ecs-node\ncluster: "no such name"\nregistrar: none such\n');
    const { error, ms, calls } = await boot();
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toMatch(/cluster: [^]*registrar: /);
    expect(calls).toBe(2);
    expect(ms).toBeLessThan(5_000);
  });

  test('asks once, and waits for nothing, where the user data is whole', async () => {
    expect(await openNode().boot()).toMatchObject({ config: settings, ms: 0, calls: 1 });
  });
});

describe('an agent that starts within this boot', () => {
  test.each(cuts.flatMap(([what, part]) => [1_000, 15_000].map((ms) => [what, ms, part] as const)))(
    'keeps the settings when the user data is cut off %s, for %i ms',
    async (_, ms, part) => {
      const { boot, agent, cut } = openNode();
      await boot();
      cut(part, ms);
      expect(await agent()).toMatchObject(settings);
    },
  );

  // The bootstrap had seen a part only, and nothing could tell.
  test('takes the whole user data after a first boot with a part of it', async () => {
    const { boot, agent, give, clock } = openNode(cuts[1][1]);
    await boot();
    give(whole);
    const began = clock.uptime();
    expect(await agent()).toMatchObject(settings);
    expect(clock.uptime() - began).toBeLessThan(45_000);
  });
});
