/**
 * `ecs-node service-size`: keeps a service at as many tasks as there are container instances, less
 * some to spare.
 */

import { sizeService, type SizeReport } from '../../fleet/size-service.ts';
import { openFleetServices } from '../../host/aws/fleet/fleet-services.ts';
import { openFleetSession } from '../../host/aws/session/fleet-session.ts';
import { openClock } from '../../host/clock.ts';
import { UsageError } from '../../core/errors.ts';
import { isSet, numberOf, textOf, type Run, type ParsedArgs } from '../../cli/command.ts';
import { findRegion } from './find-region.ts';

export const serviceSize: Run = async (context, args, signal) => {
  const order = readOrder(args);
  const region = await findRegion(context, args, signal);
  const services = openFleetServices(openFleetSession(region, context.environment, context.log));
  try {
    const report = await sizeService(order, { services, clock: openClock(), log: context.log }, signal);
    context.print(isSet(args, 'json') ? `${JSON.stringify(report, undefined, 2)}\n` : renderSize(report));
    return 0;
  } finally {
    services.close();
  }
};

function readOrder(args: ParsedArgs) {
  const order = {
    cluster: textOf(args, 'cluster') ?? '',
    service: textOf(args, 'service') ?? '',
    spare: numberOf(args, 'spare') ?? 1,
    min: numberOf(args, 'min') ?? 1,
    max: numberOf(args, 'max'),
    apply: isSet(args, 'apply'),
  };
  if (order.max !== undefined && order.max < order.min) {
    throw new UsageError(`--max ${order.max} is less than --min ${order.min}: no count could be both`);
  }
  return order;
}

/** The count, what became of it, and why. */
export function renderSize({ cluster, service, action, reason, desired, wanted }: SizeReport): string {
  const args: Record<SizeReport['action'], string> = {
    resized: `${desired} → ${wanted} tasks`,
    'would-resize': `${desired} → ${wanted} tasks, with --apply; nothing was changed`,
    kept: `stays at ${desired} tasks`,
    waited: `stays at ${desired} tasks for now`,
  };
  return `${cluster}/${service}: ${args[action]} (${reason})\n`;
}
