/**
 * `ecs-node cloud`: calls AWS for the agent, one JSON line per call (docs/decisions/0002). Only the
 * agent starts it.
 */

import { UsageError } from '../../core/errors.ts';
import type { Identity } from '../../core/identity.ts';
import { openCloud } from '../../host/aws/open.ts';
import { serveCloud } from '../../host/aws/child/serve-cloud.ts';
import { textOf, type Run } from '../../cli/command.ts';

export const cloud: Run = async (context, args) => {
  const identity = parseIdentity(args.operands[0]);
  const opsworksRegion = textOf(args, 'opsworks-region');
  const opened = openCloud(identity, context.environment, context.log, { opsworksRegion });
  try {
    // No signal: systemd stops the agent and its children together, and the agent's last call must
    // still be answered. This process ends with its input.
    await serveCloud(opened, context.openInput(), context.output);
  } finally {
    await opened.close();
  }
  return 0;
};

function parseIdentity(text: string | undefined): Identity {
  try {
    const identity = JSON.parse(text ?? '') as Identity;
    if (typeof identity.instanceId === 'string' && typeof identity.region === 'string') return identity;
  } catch {
    // The error below reports it.
  }
  throw new UsageError('"ecs-node cloud" is started by the agent, not by hand');
}
