/**
 * `ecs-node schema`: the JSON Schema of the configuration, for editors. The repository's
 * config.schema.json is its output.
 */

import { toJSONSchema } from 'zod';
import { schema as configSchema } from '../config/schema.ts';
import type { Run } from '../cli/command.ts';

export function renderSchema(): string {
  const { $schema, ...rest } = toJSONSchema(configSchema, { io: 'input' });
  const title = 'Configuration of ecs-node (/etc/ecs-node/config.yaml)';
  return `${JSON.stringify({ $schema, title, ...rest }, undefined, 2)}\n`;
}

export const schema: Run = async (context) => {
  context.print(renderSchema());
  return 0;
};
