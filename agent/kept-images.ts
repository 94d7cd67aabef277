/**
 * The images that stay on this node, however full its disk is: named by the configuration, by the
 * machine image's builder, or by the ECS agent.
 */

import type { Config } from '../config/config.ts';
import type { Host } from '../core/host.ts';
import { paths } from '../core/state/state.ts';
import { readEcsConfig, readSetting } from './ecs-settings.ts';
import type { Kept } from './images.ts';

/** Throws when a list cannot be read: the images that it names must not be removed. */
export async function readKept(
  { machine }: Pick<Host, 'machine'>,
  { disk, ecs }: Pick<Config, 'disk' | 'ecs'>,
): Promise<Kept> {
  const lists = (await machine.list(paths.keepImages)).filter((name) => name.endsWith('.list'));
  const texts = await Promise.all(lists.map((name) => machine.readText(`${paths.keepImages}/${name}`)));
  const agentConfig = await readEcsConfig(machine);
  // The ECS agent's own list of images that it must not remove, separated by commas.
  const excluded = [readSetting(agentConfig, exclusions), ecs.settings[exclusions]];
  return {
    patterns: [
      ...disk.keepImages,
      ...texts.flatMap((text) => parseKeepList(text ?? '')),
      ...excluded.flatMap((names) => (names ?? '').split(',')).flatMap((name) => name.trim() || []),
    ],
    agentRepositories: await machine.list(paths.agentDaemons),
  };
}

const exclusions = 'ECS_EXCLUDE_UNTRACKED_IMAGE';
const pullBehavior = 'ECS_IMAGE_PULL_BEHAVIOR';

/** One name a line; a `#` starts a comment. */
export function parseKeepList(text: string): string[] {
  return text.split(/\r?\n/).flatMap((line) => line.replace(/#.*/, '').trim() || []);
}

/**
 * With `once`, the ECS agent never pulls an image twice. If the image is removed, every later task
 * with it fails, also after a restart of the agent. With `prefer-cached`, a later pull may bring
 * another image than the one cached on purpose; the ECS agent removes none either. Undefined:
 * images may be removed.
 */
export async function readCachingBehavior(
  { machine }: Pick<Host, 'machine'>,
  { ecs }: Pick<Config, 'ecs'>,
): Promise<'once' | 'prefer-cached' | undefined> {
  const inFile = readSetting(await readEcsConfig(machine), pullBehavior);
  for (const value of [inFile, ecs.settings[pullBehavior]]) {
    const behavior = value?.trim().toLowerCase();
    if (behavior === 'once' || behavior === 'prefer-cached') return behavior;
  }
  return undefined;
}

/** True where a task that has not started may have images that no container uses yet. */
export async function pullsUpfront({ machine }: Pick<Host, 'machine'>, { ecs }: Pick<Config, 'ecs'>): Promise<boolean> {
  const name = 'ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT';
  const values = [readSetting(await readEcsConfig(machine), name), ecs.settings[name]];
  return values.some((value) => value?.trim().toLowerCase() === 'true');
}
