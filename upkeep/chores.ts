/** What this node keeps up to date: only what is configured. */

import type { Config } from '../core/config.ts';
import type { Chore } from './chore.ts';
import { keepContainerEnvironment } from './container-environment.ts';

export function chores(config: Config): Chore[] {
  return config.containerEnvironment.enabled ? [keepContainerEnvironment(config)] : [];
}
