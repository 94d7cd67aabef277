/** The report of a sweep as text. Pure. */

import type { Deed, SweepOutcome, SweepReport, Swept } from '../../fleet/sweep/findings.ts';
import { renderColumns, renderSpan, type Column } from '../../cli/columns.ts';

const deeds: Record<Deed['kind'], string> = {
  note: 'note it',
  forget: 'remove the note',
  'remove-old-notes': 'remove the note',
  'remove-old-tag': 'remove the note',
  activate: 'make it ACTIVE',
  drain: 'drain it',
  terminate: 'terminate it through its group',
  'deregister-container-instance': 'deregister it from ECS',
  'deregister-stale': 'deregister the record from ECS',
  'clear-protection': 'clear the protection',
  'deregister-record': 'deregister the record',
  'remove-name': 'remove the Name',
};

const outcomes: Record<SweepOutcome, string> = {
  nothing: 'nothing',
  would: 'would',
  done: 'done:',
  changed: 'not done, it has changed:',
  failed: 'failed:',
};

export function renderSweep(report: SweepReport): string {
  const { findings, brake, unanswered, applied, nodes, external, cluster, at } = report;
  const others = external > 0 ? ` and ${external} external` : '';
  const would = findings.filter(({ outcome }) => outcome === 'would').length;
  const lines = [
    `${cluster}: ${count(nodes, 'node')}${others}, ${count(findings.length, 'finding')}${applied ? '' : '; nothing was changed'}`,
    ...(brake === undefined ? [] : [`no node is touched: ${brake}`]),
    ...unanswered.map(({ what, why }) => `${what} not known, so nothing follows from them: ${why}`),
    ...(findings.length === 0 ? [] : ['', ...renderColumns(columnsAt(at), findings)]),
    ...(would > 0 ? ['', `--apply does what is said here (${would})`] : []),
  ];
  return `${lines.join('\n')}\n`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function columnsAt(now: number): Column<Swept>[] {
  return [
    { title: 'FINDING', of: ({ kind }) => kind.replaceAll('-', ' ') },
    { title: 'INSTANCE', of: ({ instanceId }) => instanceId },
    { title: 'SINCE', right: true, of: ({ since }) => (since === undefined ? '?' : renderSpan(now - since)) },
    { title: 'EVIDENCE', of: ({ evidence }) => evidence },
    {
      title: 'DEED',
      of: ({ deed, outcome }) => [outcomes[outcome], deed && deeds[deed.kind]].filter(Boolean).join(' '),
    },
    { title: 'WHY', of: ({ why, error }) => (error === undefined ? why : `${error} (${why})`) },
  ];
}
