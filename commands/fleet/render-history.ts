/** The events of a cluster's nodes as text. Pure. */

import { renderColumns, type Column } from '../../cli/columns.ts';
import type { LoggedEvent } from '../../core/fleet-history.ts';
import { isObject } from '../../core/shape.ts';
import { visibleLine } from '../../core/visible.ts';

const columns: Column<LoggedEvent>[] = [
  { title: 'TIME', of: ({ at }) => `${new Date(at).toISOString().slice(0, 19)}Z` },
  { title: 'INSTANCE', of: ({ detail }) => textOf(detail['instanceId']) },
  { title: 'EVENT', of: ({ type }) => visibleLine(type) },
  { title: 'CAUSE', of: ({ detail }) => textOf(detail['cause']) },
  { title: 'REASON', of: ({ detail }) => textOf(detail['reason'] ?? disksOf(detail)) },
];

export function renderHistory(events: readonly LoggedEvent[], width?: number): string[] {
  return renderColumns(columns, events, width);
}

/** All that the event `left` says about one departure. */
export function renderDeparture({ detail, at }: LoggedEvent): string[] {
  const list = (title: string, value: unknown) =>
    Array.isArray(value) && value.length > 0 ? [`  ${title}:`, ...value.map((each) => `    ${textOf(each)}`)] : [];
  const phases = Array.isArray(detail['phases']) ? detail['phases'].filter(isObject) : [];
  return [
    `${textOf(detail['instanceId'])} left at ${new Date(at).toISOString().slice(0, 19)}Z after ${textOf(detail['seconds'])} s`,
    `  cause: ${textOf(detail['cause'])}: ${textOf(detail['reason'])}`,
    `  confirmed by: ${textOf(detail['confirmedBy'])}`,
    ...list(
      'phases',
      phases.map(({ name, at: began, seconds }) => {
        const took = seconds === undefined ? '' : `, ${textOf(seconds)} s`;
        return `${textOf(name)} at ${textOf(began)}${took}`;
      }),
    ),
    ...list('tasks that had not stopped', detail['blockers']),
    ...list('troubles', detail['troubles']),
  ];
}

function disksOf({ disks }: LoggedEvent['detail']): string | undefined {
  if (!Array.isArray(disks)) return undefined;
  return disks
    .filter(isObject)
    .map((disk) => `${textOf(disk['mountPath'])} ${textOf(disk['usedPercent'])} %`)
    .join(', ');
}

function textOf(value: unknown): string {
  if (value === undefined || value === '') return '-';
  return visibleLine(typeof value === 'string' ? value : JSON.stringify(value));
}
