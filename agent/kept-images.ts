/**
 * The images that stay on this node, however full its disk is: named by the configuration, by the
 * machine image's builder, or by the ECS agent.
 */

import type { Config } from '../config/config.ts';
import type { Host } from '../core/host.ts';
import { paths } from '../core/state/state.ts';
import type { EcsSettings } from './ecs-settings.ts';
import { isOddName, type Kept } from './images.ts';

/** Throws when a list cannot be read: the images that it names must not be removed. */
export async function readKept(
  { machine, log }: Pick<Host, 'machine' | 'log'>,
  { disk }: Pick<Config, 'disk'>,
  settings: EcsSettings,
): Promise<Kept> {
  const lines = await readKeepLists(machine);
  const odd = oddOf(lines);
  if (odd.length > 0) log.warn('not names of images', { lines: odd, hint: oddRemedy });
  return {
    patterns: [
      ...disk.keepImages,
      ...lines.map(({ name }) => name),
      // The ECS agent's own list of images that it must not remove, separated by commas.
      ...settings('ECS_EXCLUDE_UNTRACKED_IMAGE')
        .flatMap((names) => names.split(','))
        .flatMap((name) => name.trim() || []),
    ],
    agentRepositories: await machine.list(paths.agentDaemons),
  };
}

interface KeepLine {
  file: string;
  line: number;
  name: string;
}

/** The remedy for an odd line. */
export const oddRemedy =
  'write one name a line, such as app:1 or registry.example.com/base/*: these lines keep no image';

/** At most this many odd lines in one journal line: more hide the rest of the line. */
const maxTold = 20;

function oddOf(lines: readonly KeepLine[]): string[] {
  return lines
    .filter(({ name }) => isOddName(name))
    .slice(0, maxTold)
    .map(({ file, line, name }) => `${file}:${line}: ${JSON.stringify(name.slice(0, 100))}`);
}

/** The lines of the lists that no image can match, with their files. */
export async function findOddLines(machine: Pick<Host['machine'], 'list' | 'readText'>): Promise<string[]> {
  return oddOf(await readKeepLists(machine));
}

async function readKeepLists(machine: Pick<Host['machine'], 'list' | 'readText'>): Promise<KeepLine[]> {
  const names = (await machine.list(paths.keepImages)).filter((name) => name.endsWith('.list'));
  const read = async (file: string) => parseKeepList(file, (await machine.readText(file)) ?? '');
  return (await Promise.all(names.map((name) => read(`${paths.keepImages}/${name}`)))).flat();
}

/** One name a line; a `#` starts a comment. */
export function parseKeepList(file: string, text: string): KeepLine[] {
  return text
    .split(/\r?\n/)
    .map((line, index) => ({ file, line: index + 1, name: line.replace(/#.*/, '').trim() }))
    .filter(({ name }) => name !== '');
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
