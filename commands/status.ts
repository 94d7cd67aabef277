/** `ecs-node status`: what this node is and what it is doing, from its own files alone. */

import { openMachine } from '../host/machine.ts';
import { isSet, type Run } from './command.ts';
import { renderStatus } from './render-status.ts';
import { readStatus } from './status-report.ts';

export const status: Run = async (caller, words) => {
  const report = await readStatus(openMachine(caller.root, caller.environment));
  caller.print(isSet(words, 'json') ? `${JSON.stringify(report, undefined, 2)}\n` : renderStatus(report, Date.now()));
  return 0;
};
