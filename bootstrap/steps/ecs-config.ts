/** Writes the configured settings into /etc/ecs/ecs.config, before the ECS agent reads it. */

import type { Config } from '../../config/config.ts';
import { paths } from '../../core/state/state.ts';
import { renderEcsConfig } from '../ecs-config-text.ts';
import type { Step } from '../step.ts';

export const ecsConfig: Step = {
  name: 'ecs-config',
  async run(host, config) {
    const before = (await host.machine.readText(paths.ecsConfig)) ?? '';
    const after = renderEcsConfig(before, ecsSettings(config));
    // The file may hold registry passwords (ECS_ENGINE_AUTH_DATA). Both of its readers run as root.
    return before === after ? 'unchanged' : host.machine.writeText(paths.ecsConfig, after, 0o600);
  },
};

/** The settings to write, `ECS_CLUSTER` first. `ecs.settings` overrides the others. */
function ecsSettings({ cluster, ecs, ports }: Config): Record<string, string> {
  return {
    ECS_CLUSTER: cluster,
    // This metadata file also tells a container its task and its own id.
    ...(ports.enabled && { ECS_ENABLE_CONTAINER_METADATA: 'true' }),
    ...ecs.settings,
  };
}
