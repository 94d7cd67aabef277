/**
 * The chores of a node, in some lives: their settings, the ports of its tasks, revisions and deaths
 * of its daemon task, and containers that damage what they can write.
 */

import { parseConfig, settingsOf, type Config } from '../../../config/config.ts';
import { paths } from '../../../core/state/state.ts';
import type { Chance } from '../faults/chance.ts';
import { ownInstance, type Node } from './node.ts';
import { count, note, type Region } from './region.ts';

export const daemonFamily = 'logger';
export const textfile = '/var/lib/node_exporter/ecs-node.prom';

/** The configuration with some chores, and an interval for each. */
export function withChores(config: Config, chance: Chance): Config {
  const everySeconds = () => chance.pick([30, 60, 300]);
  return parseConfig({
    ...settingsOf(config),
    containerEnvironment: { enabled: chance.happens(0.8), everySeconds: everySeconds() },
    ports: { enabled: chance.happens(0.8), everySeconds: chance.pick([15, 30, 60]) },
    ...(chance.happens(0.8) && {
      daemonTasks: {
        definitions: [daemonFamily],
        everySeconds: chance.pick([10, 30, 60]),
        revisionSeconds: chance.pick([60, 300]),
      },
    }),
    metrics: { ...config.metrics, ...(chance.happens(0.8) && { textfile }) },
  });
}

/** Begins what happens to chores until the life becomes calm. */
export function beginChores(region: Region, chance: Chance | undefined): void {
  if (chance === undefined) return;
  region.cluster.addDefinition(daemonFamily);
  const everyMs = chance.between(60_000, 400_000);
  const repeat = (act: () => void) =>
    region.clock.schedule(chance.around(everyMs), () => {
      if (region.calm) return;
      act();
      repeat(act);
    });
  repeat(() => disturbDaemons(region, chance));
  repeat(() => {
    const up = region.nodes.filter(({ phase }) => phase === 'up');
    if (up.length > 0) damage(region, chance, chance.pick(up));
  });
}

/** A new revision is registered, or a task dies. */
function disturbDaemons(region: Region, chance: Chance): void {
  const { cluster, stats } = region;
  if (chance.happens(0.3)) {
    cluster.addDefinition(daemonFamily);
    count(stats.faults, 'a new revision of the daemon task');
    return;
  }
  const running = cluster.tasks.filter(({ family, lastStatus }) => family === daemonFamily && lastStatus !== 'STOPPED');
  if (running.length === 0) return;
  const task = chance.pick(running);
  Object.assign(task, { lastStatus: 'STOPPED', desiredStatus: 'STOPPED' });
  count(stats.faults, 'a daemon task dies');
  note(region, undefined, 'a daemon task dies', task.arn);
}

/** A container with a writable mount damages a file that the node writes there. */
function damage(region: Region, chance: Chance, node: Node): void {
  const { files } = node.machine;
  const inPorts = [...files.keys()].filter((path) => path.startsWith(`${paths.ports}/`));
  const path = chance.pick([
    `${paths.containerConfig}/node.config`,
    `${paths.containerConfig}/node.json`,
    `${paths.ports}/0123456789ab.env`,
    ...inPorts,
  ]);
  const drawn = chance.pick(['garbage', 'huge', 'link', 'folder', 'gone'] as const);
  // The chore compares names only: a container cannot write there unless a person mounts it so.
  const how = inPorts.includes(path) ? 'gone' : drawn;
  for (const each of files.keys()) if (each === path || each.startsWith(`${path}/`)) files.delete(each);
  if (how === 'garbage') files.set(path, '\u0000#!/bin/sh\nECS_CLUSTER=evil\n');
  if (how === 'huge') files.set(path, 'x'.repeat(100_000));
  if (how === 'link') files.set(path, new Error(`${path}: is a link`));
  if (how === 'folder') files.set(`${path}/in/it`, 'x');
  node.truth.damagedAt = region.clock.uptime();
  count(region.stats.faults, `a container makes a file of the node ${how}`);
  note(region, node, `a container makes ${path} ${how}`);
}

/** The daemon tasks of this node that have not stopped. */
export function daemonsOf(region: Region, node: Node): number {
  const arn = ownInstance(region, node)?.arn;
  return region.cluster.tasks.filter(
    ({ family, containerInstanceArn, lastStatus }) =>
      family === daemonFamily && containerInstanceArn === arn && lastStatus !== 'STOPPED',
  ).length;
}
