/** CloudWatch Logs: the events that EventBridge has put into a log group. */

import { CloudWatchLogsClient, FilterLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { eventSource } from '../../core/events/event-source.ts';
import type { FleetHistory, HistoryQuestion, LoggedEvent } from '../../core/fleet-history.ts';
import type { Log } from '../../core/log.ts';
import type { Clock } from '../../core/retry.ts';
import { isObject } from '../../core/shape.ts';
import { required, withRetry } from './fleet/paging.ts';
import { everyPage } from './pages.ts';
import type { FleetSession } from './session/fleet-session.ts';

export function openFleetHistory(session: FleetSession, clock: Clock, log: Log): FleetHistory {
  const callAws = withRetry(session.callAws, clock, log);
  const client = new CloudWatchLogsClient(session.settings('CLOUDWATCH_LOGS'));
  const call = 'logs:FilterLogEvents';
  return {
    async readEvents(question, signal) {
      const { logGroup, since } = question;
      const messages = await everyPage(async (nextToken) => {
        const input = {
          logGroupName: logGroup,
          startTime: since,
          filterPattern: patternOf(question),
          ...(nextToken && { nextToken }),
        };
        const answer = await callAws(call, `log group ${logGroup}`, signal, (options) =>
          client.send(new FilterLogEventsCommand(input), options),
        );
        return { items: required(answer.events, call), next: answer.nextToken };
      });
      const events = messages.flatMap(({ message = '' }) => parseEvent(message, question) ?? []);
      // One that was sent twice has the same id.
      const once = new Map(events.map((event) => [event.detail['id'] ?? event, event]));
      return [...once.values()].toSorted((a, b) => a.at - b.at);
    },
    close: () => client.destroy(),
  };
}

/** Names of clusters and instances hold no quotes. */
function patternOf({ cluster, instanceId }: HistoryQuestion): string {
  const conditions = [
    `$.source = "${eventSource}"`,
    `$.detail.cluster = "${cluster}"`,
    ...(instanceId === undefined ? [] : [`$.detail.instanceId = "${instanceId}"`]),
  ];
  return `{ ${conditions.map((each) => `(${each})`).join(' && ')} }`;
}

/** Undefined for anything else: other programs may write to the log group. */
function parseEvent(message: string, { cluster, instanceId }: HistoryQuestion): LoggedEvent | undefined {
  let event: unknown;
  try {
    event = JSON.parse(message);
  } catch {
    return undefined;
  }
  if (!isObject(event) || event['source'] !== eventSource || !isObject(event['detail'])) return undefined;
  const { detail, 'detail-type': type, time } = event;
  const at = Date.parse(textOf(detail['at']) ?? textOf(time) ?? '');
  if (typeof type !== 'string' || Number.isNaN(at) || detail['cluster'] !== cluster) return undefined;
  if (instanceId !== undefined && detail['instanceId'] !== instanceId) return undefined;
  return { type, at, detail };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
