import { expect, test } from 'vitest';
import { renderDeparture, renderHistory } from '../../../commands/fleet/render-history.ts';
import type { LoggedEvent } from '../../../core/fleet-history.ts';

const at = Date.UTC(2030, 0, 1);
const left: LoggedEvent = {
  type: 'left',
  at,
  detail: {
    instanceId: 'i-1',
    cause: 'disk',
    reason: 'disk full: / 97 %',
    seconds: 61,
    confirmedBy: 'the leave queue',
    phases: [{ name: 'drain', at: '2030-01-01T00:00:00.000Z', seconds: 2 }],
    blockers: ['task/1 (web)'],
    troubles: [],
  },
};

test('each event is one line: time, node, event and reason', () => {
  const disks = [{ mountPath: '/', usedPercent: 97, usedInodesPercent: 3 }];
  const full = { type: 'disk-full', at, detail: { instanceId: 'i-1', disks } };
  expect(renderHistory([full, left])).toEqual([
    'TIME                  INSTANCE  EVENT      CAUSE  REASON',
    '2030-01-01T00:00:00Z  i-1       disk-full  -      / 97 %',
    '2030-01-01T00:00:00Z  i-1       left       disk   disk full: / 97 %',
  ]);
});

test('a departure shows its phases and the tasks that delayed it', () => {
  expect(renderDeparture(left)).toEqual([
    'i-1 left at 2030-01-01T00:00:00Z after 61 s',
    '  cause: disk: disk full: / 97 %',
    '  confirmed by: the leave queue',
    '  phases:',
    '    drain at 2030-01-01T00:00:00.000Z, 2 s',
    '  tasks that had not stopped:',
    '    task/1 (web)',
  ]);
});

// Anybody who may put events on the bus writes there.
test('an event of another shape, or with terminal sequences, does no harm', () => {
  const odd = {
    type: 'left\u001B[2J',
    at,
    detail: { reason: 'a\nb\u001B[31m', phases: 'none', blockers: 7, disks: [1] },
  };
  const lines = [...renderHistory([odd]), ...renderDeparture(odd)];
  expect(lines.join('\n')).not.toContain('\u001B');
  expect(renderHistory([odd])).toHaveLength(2);
});
