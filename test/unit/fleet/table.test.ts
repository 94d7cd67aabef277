import { beforeEach, describe, expect, test } from 'vitest';
import { Unavailable } from '../../../core/errors.ts';
import { watch } from '../../../commands/fleet/fleet.ts';
import { renderColumns } from '../../../cli/columns.ts';
import { renderFleet } from '../../../commands/fleet/render-fleet.ts';
import type { FleetView } from '../../../fleet/table/rows.ts';
import { openView } from '../../../fleet/table/view.ts';
import { openFakeClock, type FakeClock } from '../../fakes/clock.ts';
import { addNode, cluster, fakeFleet, type FakeFleet } from '../../fakes/fleet-nodes.ts';

const { signal } = new AbortController();
const minute = 60_000;

let clock: FakeClock;
let fleet: FakeFleet;
let read: (signal: AbortSignal) => Promise<FleetView>;
beforeEach(() => {
  clock = openFakeClock();
  fleet = fakeFleet();
  const view = openView(fleet, { cluster, groups: [], metricsNamespace: 'System/Linux' });
  read = (callSignal) => view(clock.now(), callSignal);
});

describe('the table of a fleet', () => {
  test('lists the worst nodes first, and well ones last', async () => {
    const now = clock.now();
    addNode(fleet, 'i-well', now);
    addNode(fleet, 'i-full', now);
    addNode(fleet, 'i-draining', now, { instance: { status: 'DRAINING' } });
    addNode(fleet, 'i-lost', now, { instance: { agentConnected: false } });
    addNode(fleet, 'i-absent', now, { instance: undefined });
    addNode(fleet, 'i-new', now, { instance: undefined, machine: { launchedAt: now - minute } });
    addNode(fleet, 'i-gone', now, { machine: undefined, member: undefined, instance: { agentConnected: false } });
    addNode(fleet, 'i-dead', now, {
      machine: { state: 'terminated' },
      member: undefined,
      instance: { agentConnected: false },
    });
    fleet.reports = [
      { instanceId: 'i-full', usedPercent: 97.3, at: now },
      { instanceId: 'i-well', usedPercent: 40, at: now },
    ];
    const { rows, summary } = await read(signal);
    expect(rows.map(({ instanceId, troubles }) => `${instanceId}: ${troubles.join(', ')}`)).toEqual([
      'i-gone: gone, disconnected',
      'i-dead: terminated, disconnected',
      'i-lost: disconnected',
      'i-absent: not in the cluster',
      'i-full: disk full',
      'i-draining: draining',
      'i-new: starting',
      'i-well: ',
    ]);
    expect(summary).toEqual({ nodes: 8, well: 1, draining: 1, disconnected: 3, missing: 2, tasks: 12 });
  });

  test("shows the node's own report", async () => {
    const tags = { Name: 'web 1', 'ecs-node:version': '1.2.3', 'ecs-node:left': 'disk: / is full' };
    addNode(fleet, 'i-a', clock.now(), { machine: { tags } });
    const view = await read(signal);
    expect(view.rows[0]).toMatchObject({ name: 'web 1', version: '1.2.3', lastWords: 'disk: / is full' });
    const [head = '', row = ''] = renderFleet(view).slice(-2);
    expect(row.indexOf('disk: / is full')).toBe(head.indexOf('LAST WORDS'));
  });

  test('a cluster without nodes is one line', async () => {
    expect(renderFleet(await read(signal))).toEqual([expect.stringContaining('0 of 0 nodes well')]);
  });

  test('omits the disks when CloudWatch is silent, and says so', async () => {
    addNode(fleet, 'i-a', clock.now());
    fleet.before = (call) => {
      if (call === 'readReports') throw new Unavailable('throttled');
    };
    const view = await read(signal);
    expect(view).toMatchObject({ rows: [{ instanceId: 'i-a' }], unanswered: [{ what: 'disks', why: 'throttled' }] });
    expect(renderFleet(view)).toContain('disks not known: throttled');
  });

  test('asks CloudWatch once in five minutes, however often it is read', async () => {
    addNode(fleet, 'i-a', clock.now());
    for (let looks = 0; looks < 30; looks++) {
      await read(signal);
      clock.jump(15_000);
    }
    expect(fleet.calls.filter((call) => call === 'readReports')).toHaveLength(2);
  });

  test('keeps its shape whatever the tags hold', () => {
    const columns = [{ title: 'A', of: (text: string) => text }];
    expect(renderColumns(columns, ['\u001B[2Jx\ny'])).toEqual(['A', ' [2Jx y']);
  });
});

describe('watching a fleet', () => {
  const onTerminal = (isTTY: boolean) => {
    const printed: string[] = [];
    const ends = new AbortController();
    const output = { isTTY, columns: 80, rows: 4, write: (text: string) => printed.push(text) };
    const context = { output: output as never, print: (text: string) => void printed.push(text) };
    const render = (view: FleetView) => renderFleet(view).join('\n');
    const watching = watch({ context, clock, read, render, everyMs: 10_000, inPlace: true }, ends.signal);
    return { printed, ends, watching };
  };

  test('continues through throttling with the last table, and ends with success on a stop', async () => {
    addNode(fleet, 'i-a', clock.now());
    const { printed, ends, watching } = onTerminal(true);
    await clock.settle();
    fleet.before = () => {
      throw new Unavailable('throttled (ThrottlingException)');
    };
    await clock.run(10_000);
    fleet.before = () => {};
    await clock.run(10_000);
    ends.abort(new Error('stopped by SIGINT'));
    await watching;
    const [hide, first, second, third, show] = printed;
    expect([hide, show]).toEqual(['\u001B[?25l', '\u001B[?25h\n']);
    expect(first).toMatch(/1 of 1 nodes well/);
    expect(second).toMatch(/not up to date: throttled[^]*1 of 1 nodes well/);
    expect(third).not.toMatch(/not up to date/);
  });

  test('never scrolls: it has as many lines as the terminal', async () => {
    for (let index = 0; index < 50; index++) addNode(fleet, `i-${index}`, clock.now());
    const { printed, ends, watching } = onTerminal(true);
    await clock.settle();
    ends.abort(new Error('stopped'));
    await watching;
    expect(printed[1]!.split('\n')).toHaveLength(3);
  });

  test('draws no screen without a terminal', async () => {
    addNode(fleet, 'i-a', clock.now());
    const { printed, ends, watching } = onTerminal(false);
    await clock.settle();
    ends.abort(new Error('stopped'));
    await watching;
    expect(printed.join('')).not.toContain('\u001B');
  });

  test('ends when AWS refuses, because another read would not help', async () => {
    const view = openView(fleet, { cluster: 'other', groups: [], metricsNamespace: 'System/Linux' });
    const context = { output: {} as never, print: () => {} };
    const watching = {
      context,
      clock,
      read: (callSignal: AbortSignal) => view(clock.now(), callSignal),
      render: () => '',
      everyMs: 1,
      inPlace: true,
    };
    await expect(watch(watching, signal)).rejects.toThrow(/there is no cluster/);
  });
});
