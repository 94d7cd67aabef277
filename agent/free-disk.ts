/**
 * Frees the disk on which Docker's images lie: removes unused images, one by one, until the disk is
 * clear.
 */

import type { Config } from '../config/config.ts';
import { Unavailable, messageOf } from '../core/errors.ts';
import type { DockerImage, Host } from '../core/host.ts';
import type { WatchedPaths } from './docker-root.ts';
import { isClear } from './fullness.ts';
import { referencesOf, removableImages, stoppedHolders } from './images.ts';
import { readEcsSettings, type EcsSettings } from './ecs-settings.ts';
import { cachingBehaviorOf, pullsUpfront, readKept } from './kept-images.ts';

/**
 * XFS frees blocks in the background. Measured at once, the disk would still look full, and the
 * next image would be removed too.
 */
const settleMs = 1_000;

/**
 * A starting task may need an image that no container uses yet. Its container exists within
 * seconds, or the task hangs.
 */
const startingMs = 20_000;

/**
 * With ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT, the ECS agent pulls an image before the containers on
 * which its container depends have started: the agent's default start timeout of 3 minutes later.
 */
const dependentMs = 200_000;

/** The interval at which starting tasks are checked. */
const lookMs = 1_000;

/** At most this many names in one journal line: more hide the rest of the line. */
const maxTold = 20;

/**
 * Throws only the signal's reason. Docker itself may fail on a full disk, and the node must still
 * be able to leave.
 */
export async function freeDisk(host: Host, config: Config, watched: WatchedPaths, signal: AbortSignal): Promise<void> {
  const { log } = host;
  try {
    const settings = await readEcsSettings(host, config);
    const caching = cachingBehaviorOf(settings);
    if (caching !== undefined) {
      const reason = `ECS_IMAGE_PULL_BEHAVIOR=${caching}: the ECS agent counts on images that it has pulled before`;
      log.warn('images not removed', { reason });
      return;
    }
    if (await isStoreClear(host, config, watched, signal)) {
      log.info('images not removed', { reason: "the disk that is full is not the one with Docker's images" });
      return;
    }
    const startMs = pullsUpfront(settings) ? dependentMs : startingMs;
    await waitForStartingTasks(host, startMs, signal);
    await removeUntilClear(host, config, watched, settings, signal);
  } catch (error) {
    signal.throwIfAborted();
    log.warn('images not removed', { error: messageOf(error) });
  }
}

async function removeUntilClear(
  host: Host,
  config: Config,
  watched: WatchedPaths,
  settings: EcsSettings,
  signal: AbortSignal,
): Promise<void> {
  const { docker, log, clock } = host;
  const kept = await readKept(host, config, settings);
  const tried = new Set<string>();
  for (;;) {
    // Read again for each image, because a task may have started meanwhile.
    const containers = await docker.readContainers(signal);
    const next = removableImages(await docker.readImages(signal), containers, kept).find(({ id }) => !tried.has(id));
    if (next === undefined) {
      const holders = stoppedHolders(containers).map(({ name }) => name);
      log.warn('no image is left to remove', {
        removed: tried.size,
        ...(holders.length > 0 && {
          stoppedContainers: holders.slice(0, maxTold),
          hint: `${holders.length} stopped containers hold their images; ECS removes them after ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION`,
        }),
      });
      return;
    }
    tried.add(next.id);
    await remove(host, next, signal);
    await clock.sleep(settleMs, signal);
    if (await isStoreClear(host, config, watched, signal)) {
      log.info('the disk is clear', { removed: tried.size });
      return;
    }
  }
}

async function remove({ docker, log }: Host, image: DockerImage, signal: AbortSignal): Promise<void> {
  const { id, names } = image;
  try {
    const outcomes = [];
    for (const reference of referencesOf(image)) outcomes.push(await docker.removeImage(reference, signal));
    const outcome = outcomes.find((word) => word === 'in use') ?? 'removed';
    log.info(outcome === 'removed' ? 'image removed' : 'image is in use', { id, names });
  } catch (error) {
    signal.throwIfAborted();
    // If one image cannot be removed, the others still are.
    log.warn('image not removed', { id, names, error: messageOf(error) });
  }
}

/**
 * Throws Unavailable where the disk cannot be measured: no image is removed for a disk that may be
 * clear.
 */
async function isStoreClear(
  host: Host,
  { disk }: Config,
  watched: WatchedPaths,
  signal: AbortSignal,
): Promise<boolean> {
  const { images } = await watched.readRoots(host, signal);
  const { uses, unmeasured } = await host.machine.measureDisks([images]);
  const [use] = uses;
  if (use === undefined) throw new Unavailable(`${images} could not be measured: ${unmeasured[0]?.reason ?? ''}`);
  return isClear(use, disk.clearPercent);
}

/**
 * Returns after `startMs` at the latest. A task that cannot start for lack of space would
 * otherwise keep the disk full.
 */
async function waitForStartingTasks({ ecsAgent, clock }: Host, startMs: number, signal: AbortSignal): Promise<void> {
  const until = clock.uptime() + startMs;
  while (clock.uptime() < until) {
    const tasks = await ecsAgent.readTasks(signal).catch(() => undefined);
    signal.throwIfAborted();
    const isStarting = tasks?.some((task) => task.desiredStatus === 'RUNNING' && task.knownStatus !== 'RUNNING');
    if (isStarting !== true) return;
    await clock.sleep(lookMs, signal);
  }
}
