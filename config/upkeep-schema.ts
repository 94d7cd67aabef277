/** Settings of the chores (`upkeep/`). Each chore is off until it is configured. */

import * as z from 'zod';
import { familyOf } from '../core/task-definition.ts';

const every = () =>
  z
    .int()
    .min(10)
    .max(86_400)
    .default(300)
    .describe(
      'Seconds between two rounds. Each pause is shortened at random by up to a fifth, so that nodes do not act together.',
    );

export const upkeepSections = {
  containerEnvironment: z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe(
          'Write the identity and the tags of the node to /etc/container_config, a folder for containers to mount.',
        ),
      everySeconds: every(),
    })
    .prefault({}),

  refresh: z
    .strictObject({
      source: z
        .string()
        .regex(
          /^(ssm:\/[\w.\-/]+|s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[^\0]*)?)$/,
          'must be ssm:/PATH (parameters below it) or s3://BUCKET/PREFIX',
        )
        .optional()
        .describe(
          'Where drop-ins of the configuration are pulled from: ssm:/PATH (parameters below it) or s3://BUCKET/PREFIX.',
        ),
      also: z
        .array(
          z
            .string()
            .regex(
              /^(?!refresh(\.|$))[A-Za-z]\w*(\.\w+)*$/,
              'must be a setting such as ecs.settings, and none of refresh itself',
            ),
        )
        .max(50)
        .default([])
        .describe(
          'Further settings, or whole sections, that pulled documents may carry. Without it they carry harmless ones only.',
        ),
      everySeconds: every(),
    })
    .prefault({}),

  daemonTasks: z
    .strictObject({
      definitions: z
        .array(
          z
            .string()
            .regex(
              /^(arn:[\w-]+:ecs:[\w-]+:\d{12}:task-definition\/)?[A-Za-z0-9_-]{1,255}(:[1-9]\d*)?$/,
              'must be a task definition: FAMILY (its newest revision), FAMILY:REVISION or an ARN',
            ),
        )
        .max(20)
        .refine((names) => new Set(names.map(familyOf)).size === names.length, 'must name each family once')
        .optional()
        .describe(
          'Task definitions of which exactly one task runs on this node: FAMILY, FAMILY:REVISION or an ARN. An empty list stops the tasks of earlier definitions; without the setting they are left alone.',
        ),
      everySeconds: z
        .int()
        .min(5)
        .max(3600)
        .default(30)
        .describe('Seconds between two reads of the tasks that the ECS agent on this node runs.'),
      revisionSeconds: z
        .int()
        .min(10)
        .max(86_400)
        .default(300)
        .describe('Seconds between two calls to ECS for newer revisions while nothing else has changed.'),
    })
    .prefault({}),

  ports: z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe('Write the host ports of each task to /run/ecs-node/ports, and set ECS_ENABLE_CONTAINER_METADATA.'),
      everySeconds: z.int().min(1).max(3600).default(5).describe('Seconds between two reads of the running tasks.'),
    })
    .prefault({}),
};
