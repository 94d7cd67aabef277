/** `ecs-node fleet --history`: prints the events of nodes, also of those that are gone. */

import { Refused, UsageError } from '../../core/errors.ts';
import type { FleetHistory, HistoryQuestion } from '../../core/fleet-history.ts';
import { openFleetHistory } from '../../host/aws/fleet-history.ts';
import { openFleetSession } from '../../host/aws/session/fleet-session.ts';
import { openClock } from '../../host/clock.ts';
import { isSet, textOf, type CommandContext, type ParsedArgs } from '../../cli/command.ts';
import { findRegion } from './find-region.ts';
import { renderDeparture, renderHistory } from './render-history.ts';

const dayMs = 86_400_000;

/** A week of a whole cluster fits on some screens. The stack keeps events for 90 days. */
const days = { cluster: 7, node: 90 };

export async function printHistory(context: CommandContext, args: ParsedArgs, signal: AbortSignal): Promise<number> {
  const cluster = textOf(args, 'cluster') ?? '';
  const instanceId = parseInstance(args);
  const region = await findRegion(context, args, signal);
  const clock = openClock();
  const history = openFleetHistory(openFleetSession(region, context.environment, context.log), clock, context.log);
  const span = Number(textOf(args, 'days') ?? (instanceId === undefined ? days.cluster : days.node));
  const question = {
    logGroup: textOf(args, 'log-group') ?? `/ecs-node/${cluster}/events`,
    cluster,
    since: clock.now() - span * dayMs,
    ...(instanceId !== undefined && { instanceId }),
  };
  try {
    const events = await readEvents(history, question, signal);
    if (isSet(args, 'json')) context.print(`${JSON.stringify(events)}\n`);
    else if (events.length === 0) context.print(`${renderNone(question, span)}\n`);
    else {
      const departures = instanceId === undefined ? [] : events.filter(({ type }) => type === 'left');
      const details = departures.flatMap((event) => ['', ...renderDeparture(event)]);
      context.print(`${[...renderHistory(events), ...details].join('\n')}\n`);
    }
    return 0;
  } finally {
    history.close();
  }
}

function parseInstance({ operands: [given] }: ParsedArgs): string | undefined {
  if (given === undefined || /^m?i-[0-9a-f]{8,17}$/.test(given)) return given;
  throw new UsageError(`${given}: --history takes the id of an instance, such as i-0123456789abcdef0`);
}

async function readEvents(history: FleetHistory, question: HistoryQuestion, signal: AbortSignal) {
  try {
    return await history.readEvents(question, signal);
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== 'ResourceNotFoundException') throw error;
    const remedy = 'let nodes send events (events.bus) and a rule keep them there, or give --log-group';
    throw new Refused(`there is no log group ${question.logGroup}: ${remedy}`, { cause: error, code: error.code });
  }
}

function renderNone({ cluster, instanceId, logGroup }: HistoryQuestion, span: number): string {
  return `No events of ${instanceId ?? `nodes of ${cluster}`} within ${span} days in ${logGroup}. Nodes send them only with events.bus.`;
}
