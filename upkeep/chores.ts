/** The configured chores of this node. */

import type { Config } from '../config/config.ts';
import type { Chore } from './chore.ts';
import { keepContainerEnvironment } from './container-environment.ts';
import { keepDaemonTasks } from './keep-daemon-tasks.ts';
import { keepPorts } from './keep-ports.ts';
import { keepRefreshed, type PullOnce } from './keep-refreshed.ts';

/** `pull` starts one pull of the configuration's documents. */
export function chores(config: Config, pull: PullOnce): Chore[] {
  const { containerEnvironment, refresh, daemonTasks, ports } = config;
  return [
    ...(containerEnvironment.enabled ? [keepContainerEnvironment(config)] : []),
    ...(refresh.source === undefined ? [] : [keepRefreshed(config, pull)]),
    ...(daemonTasks.definitions === undefined ? [] : [keepDaemonTasks(config)]),
    ...(ports.enabled ? [keepPorts(config)] : []),
  ];
}
