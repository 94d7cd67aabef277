/** What this node keeps up to date: only what is configured. */

import type { Config } from '../config/config.ts';
import type { Chore } from './chore.ts';
import { keepContainerEnvironment } from './container-environment.ts';
import { keepDaemonTasks } from './keep-daemon-tasks.ts';
import { keepPorts } from './keep-ports.ts';
import { keepRefreshed, type PullOnce } from './keep-refreshed.ts';

/** `pull` has documents of the configuration pulled once. */
export function chores(config: Config, pull: PullOnce): Chore[] {
  const { containerEnvironment, refresh, daemonTasks, ports } = config;
  return [
    ...(containerEnvironment.enabled ? [keepContainerEnvironment(config)] : []),
    ...(refresh.source === undefined ? [] : [keepRefreshed(config, pull)]),
    ...(daemonTasks.definitions === undefined ? [] : [keepDaemonTasks(config)]),
    ...(ports.enabled ? [keepPorts(config)] : []),
  ];
}
