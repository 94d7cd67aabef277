/** The containers of a task, as the ECS agent on its node shows them. */

import { shortArn } from '../../../core/arn.ts';
import type { LocalContainer } from '../../../core/host.ts';

/** Each task publishes one port. */
export function containersOf(arn: string): LocalContainer[] {
  const id = shortArn(arn);
  return [
    {
      name: 'main',
      dockerId: id.slice(-12).padEnd(64, 'a'),
      ports: [{ containerPort: 80, hostPort: 30_000, protocol: 'tcp', hostIp: '0.0.0.0' }],
    },
  ];
}
