/** The table of a fleet, for people. Pure. */

import type { FleetView, NodeRow } from '../../fleet/table/rows.ts';
import { renderColumns, renderSpan, type Column } from '../../cli/columns.ts';

export function renderFleet(view: FleetView, width?: number): string[] {
  return [
    renderSummary(view),
    ...view.unanswered.map(({ what, why }) => `${what} not known: ${why}`),
    ...(view.rows.length === 0 ? [] : ['', ...renderColumns(columnsAt(view.at), view.rows, width)]),
  ];
}

function renderSummary({ cluster, groups, summary, at }: FleetView): string {
  const { nodes, well, draining, disconnected, missing, tasks, external = 0 } = summary;
  const parts = [
    `${well} of ${nodes} nodes well`,
    ...(draining > 0 ? [`${draining} draining`] : []),
    ...(disconnected > 0 ? [`${disconnected} disconnected`] : []),
    ...(missing > 0 ? [`${missing} not in the cluster`] : []),
    `${tasks} tasks`,
    ...(external > 0 ? [`${external} external not counted`] : []),
  ];
  const where = groups.length === 0 ? '' : ` (${groups.join(', ')})`;
  return `${cluster}${where}: ${parts.join(', ')}; ${new Date(at).toISOString().slice(0, 19)}Z`;
}

function columnsAt(now: number): Column<NodeRow>[] {
  const text = (value: string | undefined) => (value === undefined || value === '' ? '-' : value);
  return [
    { title: 'INSTANCE', of: ({ instanceId }) => instanceId },
    { title: 'TROUBLE', of: ({ troubles }) => text(troubles.join(', ')) },
    { title: 'ZONE', of: ({ zone }) => text(zone) },
    { title: 'TYPE', of: ({ type }) => text(type) },
    {
      title: 'AGE',
      right: true,
      of: ({ launchedAt }) => (launchedAt === undefined ? '-' : renderSpan(now - launchedAt)),
    },
    { title: 'GROUP STATE', of: ({ lifecycle }) => text(lifecycle) },
    { title: 'ECS', of: ({ ecs }) => text(ecs) },
    { title: 'AGENT', of: ({ connected }) => (connected === undefined ? '-' : connected ? 'connected' : 'lost') },
    {
      title: 'TASKS',
      right: true,
      of: ({ running, pending }) => (running === undefined ? '-' : `${running}+${pending}`),
    },
    { title: 'DISK', right: true, of: ({ diskPercent }) => text(diskPercent?.toFixed(0).concat('%')) },
    { title: 'VERSION', of: ({ version }) => text(version) },
    { title: 'NAME', of: ({ name }) => text(name) },
    { title: 'LAST WORDS', of: ({ lastWords }) => text(lastWords) },
  ];
}
