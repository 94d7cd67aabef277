/** `ecs-node status`: the state of this node and its present work, from its own files alone. */

import { openMachine } from '../host/machine.ts';
import { isSet, type Run } from '../cli/command.ts';
import { renderStatus } from './status/render-status.ts';
import { readStatus } from './status/status-report.ts';
import { wrongOf } from './status/wrong.ts';

export const status: Run = async (context, args) => {
  const report = await readStatus(openMachine(context.root, context.environment));
  const now = Date.now();
  const wrong = isSet(args, 'check') ? wrongOf(report, now) : [];
  if (isSet(args, 'json')) {
    const checked = isSet(args, 'check') ? { ...report, wrong } : report;
    context.print(`${JSON.stringify(checked, undefined, 2)}\n`);
  } else {
    context.print(`${renderStatus(report, now)}${wrong.map((line) => `Wrong      ${line}\n`).join('')}`);
  }
  return wrong.length > 0 ? 1 : 0;
};
