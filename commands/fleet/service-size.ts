/** `ecs-node service-size`: keeps services at a task for each node, less some to spare. */

import { sizeServices, type SizeReport, type SizeRequest } from '../../fleet/size-service.ts';
import { openFleetServices } from '../../host/aws/fleet/fleet-services.ts';
import { openFleetSession } from '../../host/aws/session/fleet-session.ts';
import { openClock } from '../../host/clock.ts';
import { UsageError } from '../../core/errors.ts';
import { isSet, listOf, numberOf, textOf, type Run, type ParsedArgs } from '../../cli/command.ts';
import { findRegion } from './find-region.ts';

export const serviceSize: Run = async (context, args, signal) => {
  const requests = readRequests(args);
  const region = await findRegion(context, args, signal);
  const services = openFleetServices(openFleetSession(region, context.environment, context.log));
  const reports: SizeReport[] = [];
  try {
    await sizeServices(
      requests,
      { services, clock: openClock(), log: context.log },
      (report) => reports.push(report),
      signal,
    );
  } finally {
    services.close();
    // Also if another service failed. One service is an object, several are a list.
    const json = () => `${JSON.stringify(requests.length === 1 ? reports[0] : reports, undefined, 2)}\n`;
    if (reports.length > 0) context.print(isSet(args, 'json') ? json() : reports.map(renderSize).join(''));
  }
  return 0;
};

function readRequests(args: ParsedArgs): SizeRequest[] {
  const limits = {
    cluster: textOf(args, 'cluster') ?? '',
    spare: numberOf(args, 'spare') ?? 1,
    min: numberOf(args, 'min') ?? 1,
    max: numberOf(args, 'max'),
    apply: isSet(args, 'apply'),
  };
  if (limits.max !== undefined && limits.max < limits.min) {
    throw new UsageError(`--max ${limits.max} is less than --min ${limits.min}: no count could be both`);
  }
  return [...new Set(listOf(args, 'service'))].map((service) => ({ ...limits, service }));
}

/** One line for one service. */
function renderSize({ cluster, service, action, reason, desired, wanted }: SizeReport): string {
  const actions: Record<SizeReport['action'], string> = {
    resized: `${desired} → ${wanted} tasks`,
    'would-resize': `${desired} → ${wanted} tasks, with --apply; nothing was changed`,
    kept: `stays at ${desired} tasks`,
    waited: `stays at ${desired} tasks for now`,
  };
  return `${cluster}/${service}: ${actions[action]} (${reason})\n`;
}
