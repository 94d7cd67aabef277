/**
 * The images that stay on this node, however full its disk is: named by the configuration, by the
 * machine image's builder, or by the ECS agent.
 */

import type { Config } from '../config/config.ts';
import type { Host } from '../core/host.ts';
import { paths } from '../core/state/state.ts';
import type { EcsSettings } from './ecs-settings.ts';
import type { Kept } from './images.ts';

/** Throws when a list cannot be read: the images that it names must not be removed. */
export async function readKept(
  { machine }: Pick<Host, 'machine'>,
  { disk }: Pick<Config, 'disk'>,
  settings: EcsSettings,
): Promise<Kept> {
  const lists = (await machine.list(paths.keepImages)).filter((name) => name.endsWith('.list'));
  const texts = await Promise.all(lists.map((name) => machine.readText(`${paths.keepImages}/${name}`)));
  return {
    patterns: [
      ...disk.keepImages,
      ...texts.flatMap((text) => parseKeepList(text ?? '')),
      // The ECS agent's own list of images that it must not remove, separated by commas.
      ...settings('ECS_EXCLUDE_UNTRACKED_IMAGE')
        .flatMap((names) => names.split(','))
        .flatMap((name) => name.trim() || []),
    ],
    agentRepositories: await machine.list(paths.agentDaemons),
  };
}

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
export function cachingBehaviorOf(settings: EcsSettings): string | undefined {
  return settings('ECS_IMAGE_PULL_BEHAVIOR')
    .map((value) => value.trim().toLowerCase())
    .find((behavior) => behavior === 'once' || behavior === 'prefer-cached');
}

/** True where a task that has not started may have images that no container uses yet. */
export function pullsUpfront(settings: EcsSettings): boolean {
  return settings('ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT').some((value) => value.trim().toLowerCase() === 'true');
}
