/** `ecs-node status`: the state of this node and its present work, from its own files alone. */

import { isMissing } from '../host/environment.ts';
import { openMachine } from '../host/machine.ts';
import { isSet, type CommandContext, type Run } from '../cli/command.ts';
import { ConfigError, type Fault } from '../core/errors.ts';
import type { Machine } from '../core/host.ts';
import { hasNothingRun, joinLines, renderStatus } from './status/render-status.ts';
import { readStatus } from './status/status-report.ts';
import { wrongOf } from './status/wrong.ts';

export const status: Run = async (context, args) => {
  const machine = openMachine(context.root, context.environment);
  const found = await readStatus(machine);
  const remarks = isMissing(context.root) ? [`the folder ${context.root} (--root) does not exist`] : [];
  const report = { ...found, remarks: [...remarks, ...found.remarks] };
  const now = Date.now();
  const wrong = isSet(args, 'check') ? wrongOf(report, now) : [];
  if (isSet(args, 'json')) {
    const checked = isSet(args, 'check') ? { ...report, wrong } : report;
    context.print(`${JSON.stringify(checked, undefined, 2)}\n`);
  } else {
    const faults = hasNothingRun(report) ? await readConfigFaults(machine, context) : [];
    const wrongLines = joinLines(wrong.map((line) => `Wrong      ${line}`));
    context.print(`${renderStatus(report, now, faults, context.root)}${wrongLines}`);
  }
  return wrong.length > 0 ? 1 : 0;
};

/** The faults that keep a first bootstrap from starting. The large schema is loaded only then. */
async function readConfigFaults(machine: Machine, context: CommandContext): Promise<readonly Fault[]> {
  const { lacksOutside, readFileLayers } = await import('../config/load-config.ts');
  try {
    lacksOutside(await readFileLayers(machine, context), []);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
}
