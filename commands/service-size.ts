/** `ecs-node service-size`: keeps a service at as many tasks as there are container instances, less some to spare. */

import { sizeService, type SizeReport } from '../fleet/size-service.ts';
import { openFleetServices } from '../host/aws/fleet-services.ts';
import { openFleetSession } from '../host/aws/fleet-session.ts';
import { openClock } from '../host/clock.ts';
import { UsageError } from '../core/errors.ts';
import { isSet, numberOf, textOf, type Run, type Words } from './command.ts';
import { findRegion } from './find-region.ts';

export const serviceSize: Run = async (caller, words, signal) => {
  const order = readOrder(words);
  const region = await findRegion(caller, words, signal);
  const services = openFleetServices(openFleetSession(region, caller.environment, caller.log));
  try {
    const report = await sizeService(order, { services, clock: openClock(), log: caller.log }, signal);
    caller.print(isSet(words, 'json') ? `${JSON.stringify(report, undefined, 2)}\n` : renderSize(report));
    return 0;
  } finally {
    services.close();
  }
};

function readOrder(words: Words) {
  const order = {
    cluster: textOf(words, 'cluster') ?? '',
    service: textOf(words, 'service') ?? '',
    spare: numberOf(words, 'spare') ?? 1,
    min: numberOf(words, 'min') ?? 1,
    max: numberOf(words, 'max'),
    apply: isSet(words, 'apply'),
  };
  if (order.max !== undefined && order.max < order.min) {
    throw new UsageError(`--max ${order.max} is less than --min ${order.min}: no count could be both`);
  }
  return order;
}

/** The count, what became of it, and why. */
export function renderSize({ cluster, service, action, reason, desired, wanted }: SizeReport): string {
  const words: Record<SizeReport['action'], string> = {
    resized: `${desired} → ${wanted} tasks`,
    'would-resize': `${desired} → ${wanted} tasks, with --apply; nothing was changed`,
    kept: `stays at ${desired} tasks`,
    waited: `stays at ${desired} tasks for now`,
  };
  return `${cluster}/${service}: ${words[action]} (${reason})\n`;
}
