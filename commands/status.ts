/** `ecs-node status`: the state of this node and its present work, from its own files alone. */

import { openMachine } from '../host/machine.ts';
import { isSet, type Run } from '../cli/command.ts';
import { renderStatus } from './status/render-status.ts';
import { readStatus } from './status/status-report.ts';

export const status: Run = async (context, args) => {
  const report = await readStatus(openMachine(context.root, context.environment));
  context.print(isSet(args, 'json') ? `${JSON.stringify(report, undefined, 2)}\n` : renderStatus(report, Date.now()));
  return 0;
};
