// Renders each file that comes from a schema, the table of commands or the permissions, by path.

import { renderCommands } from './commands.ts';
import { renderConfiguration } from './configuration.ts';
import { renderEvents } from './events.ts';
import { renderCommandsPage, renderConfigurationPage } from './manual.ts';
import { renderPolicies } from './policies.ts';

export function renderAll(): Record<string, string> {
  return {
    'docs/configuration.md': renderConfiguration(),
    'docs/commands.md': renderCommands(),
    ...renderEvents(),
    'docs/man/ecs-node.8': renderCommandsPage(),
    'docs/man/ecs-node.yaml.5': renderConfigurationPage(),
    ...renderPolicies(),
  };
}
