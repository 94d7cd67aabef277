/** Writes what the configuration says into /etc/ecs/ecs.config, before the ECS agent reads it. */

import type { Config } from '../../config/config.ts';
import { paths } from '../../core/state/state.ts';
import { renderEcsConfig } from '../ecs-config-text.ts';
import type { Step } from '../step.ts';

export const ecsConfig: Step = {
  name: 'ecs-config',
  async run(host, config) {
    const before = (await host.machine.readText(paths.ecsConfig)) ?? '';
    const after = renderEcsConfig(before, ecsSettings(config));
    // It may hold passwords of registries (ECS_ENGINE_AUTH_DATA), and both of its readers are root.
    return before === after ? 'unchanged' : host.machine.writeText(paths.ecsConfig, after, 0o600);
  },
};

/** What is written, `ECS_CLUSTER` first; what is set by hand counts. */
function ecsSettings({ cluster, ecs, ports }: Config): Record<string, string> {
  return {
    ECS_CLUSTER: cluster,
    // A container finds out there, too, which task and which container it is.
    ...(ports.enabled && { ECS_ENABLE_CONTAINER_METADATA: 'true' }),
    ...ecs.settings,
  };
}
