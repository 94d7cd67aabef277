import { beforeEach, describe, expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { isUnfinished, sweep } from '../../../../fleet/sweep/sweep.ts';
import { addNode, addNote, addRecord } from '../../../fakes/fleet-nodes.ts';
import { hour, log, options, clock, fleet, renewFleet, run, deedsOf, addHealthy, whyOf } from './run.ts';

beforeEach(renewFleet);

describe('the limits of a sweep', () => {
  const lose = (count: number) => {
    for (let index = 0; index < count; index++) {
      addNode(fleet, `i-lost${index}`, clock.now(), { instance: { agentConnected: false } });
      addNote(fleet, `i-lost${index}`, 'disconnected', clock.now() - 5 * hour);
    }
  };
  const drained = (deeds: string[]) => deeds.filter((deed) => deed.startsWith('drain '));

  test('change nothing without --apply, and report everything', async () => {
    addHealthy(19);
    lose(1);
    addNode(fleet, 'i-never', clock.now(), { instance: undefined });
    const report = await run({ apply: false });
    expect(fleet.actions()).toEqual([]);
    expect(report.findings.map(({ outcome }) => outcome)).toEqual(['would', 'would']);
  });

  // The note of a machine whose clock was three hours slow made the node look old at the next run.
  test('count by the clock of AWS, however wrong that of the machine is', async () => {
    addHealthy(9);
    addNode(fleet, 'i-away', clock.now(), { instance: { agentConnected: false } });
    const minute = hour / 60;
    clock.jump(-3 * hour);
    fleet.clockOffsetMs = () => 3 * hour;
    expect(await deedsOf()).toEqual(['note i-away disconnected']);
    clock.jump(3 * hour + 2 * minute);
    fleet.clockOffsetMs = () => 0;
    expect(await deedsOf()).toEqual([]);
    clock.jump(2 * hour);
    expect(await deedsOf()).toContain('drain i-away');
  });

  // Only AWS's first answer tells how wrong the clock is.
  test('count by the clock of AWS from the first reading on', async () => {
    addHealthy(9);
    addNode(fleet, 'i-away', clock.now(), { instance: { agentConnected: false } });
    expect(await deedsOf()).toEqual(['note i-away disconnected']);
    clock.jump(3 * hour);
    fleet.clockOffsetMs = () => (fleet.calls.length === 0 ? 0 : -3 * hour);
    expect(await deedsOf({ recheckMs: 0 })).toEqual([]);
  });

  test('allow one node in a run by default', async () => {
    addHealthy(50);
    lose(5);
    expect(drained(await deedsOf())).toEqual(['drain i-lost0']);
  });

  test('allow at most a tenth of the nodes, whatever the flag says', async () => {
    addHealthy(25);
    lose(5);
    expect(drained(await deedsOf({ maxNodes: 100 }))).toHaveLength(3);
  });

  test('allow at most a tenth to leave at one time, for whatever reason', async () => {
    addHealthy(18);
    lose(2);
    for (const id of ['i-h0', 'i-h1']) {
      fleet.instances.get(id)!.status = 'DRAINING';
      fleet.members.get(id)!.lifecycleState = 'Terminating:Wait';
    }
    const report = await run({ maxNodes: 100 });
    expect(drained(fleet.actions())).toEqual([]);
    expect(whyOf(report, 'i-lost0')).toMatch(/2 of 20 nodes are leaving already, 2 may at a time/);
  });

  test('allow at most a tenth to be ended in a run, although they already leave', async () => {
    addHealthy(25);
    for (let index = 0; index < 5; index++) {
      addNode(fleet, `i-stuck${index}`, clock.now(), { instance: { status: 'DRAINING', runningTasks: 0 } });
      addNote(fleet, `i-stuck${index}`, 'draining', clock.now() - 13 * hour, clock.now() - hour);
    }
    const ended = (await deedsOf({ maxNodes: 100 })).filter((deed) => deed.startsWith('terminate '));
    expect(ended).toHaveLength(3);
  });

  test('allow none with a limit of 0', async () => {
    addHealthy(9);
    lose(1);
    expect(drained(await deedsOf({ maxNodes: 0 }))).toEqual([]);
  });

  test.each([
    [7, 4, /4 of 11 nodes look ill at once/],
    [0, 1, /none of 1 nodes is well/],
    [2, 2, /2 of 4 nodes look ill at once/],
  ])('with %i well and %i ill nodes blame no node', async (well, ill, why) => {
    addHealthy(well);
    lose(ill);
    const report = await run({ maxNodes: 100 });
    expect(fleet.actions()).toEqual([]);
    expect(report.brake).toMatch(why);
  });

  test('write not even a note when the whole fleet looks ill, because the time must not start', async () => {
    addHealthy(5);
    for (const id of ['i-h0', 'i-h1', 'i-h2']) fleet.instances.get(id)!.agentConnected = false;
    expect(await deedsOf()).toEqual([]);
  });

  test.each(['readContainerInstances', 'readGroups', 'readMachines'])(
    'stop everything when %s gets no answer',
    async (call) => {
      addHealthy(9);
      lose(1);
      addRecord(fleet, 'i-gone', clock.now(), { status: 'connection_lost' });
      fleet.before = (each) => {
        if (each === call) throw new Unavailable('throttled');
      };
      await expect(run({ stack: 'stack' })).rejects.toThrow(Unavailable);
      expect(fleet.actions()).toEqual([]);
    },
  );

  test('keep a record when EC2 knows its instance at the second look', async () => {
    addHealthy(3);
    addNode(fleet, 'i-gone', clock.now(), {
      machine: undefined,
      member: undefined,
      instance: { agentConnected: false },
    });
    fleet.before = (call) => {
      if (call === 'readMachine i-gone') addNode(fleet, 'i-gone', clock.now(), { instance: { agentConnected: false } });
    };
    const report = await run();
    expect(report.findings.find(({ instanceId }) => instanceId === 'i-gone')).toMatchObject({ outcome: 'changed' });
    expect(fleet.actions()).toEqual([]);
  });

  test('continue after a deed that fails, and name it', async () => {
    addHealthy(30);
    lose(3);
    fleet.before = (call) => {
      if (call === 'drain i-lost0') throw new Unavailable('throttled');
    };
    const report = await run({ maxNodes: 2 });
    expect(report.findings.map(({ outcome }) => outcome)).toEqual(['failed', 'done', 'nothing']);
  });

  test('count a node that stays DRAINING because AWS refuses to terminate it', async () => {
    addHealthy(9);
    addNode(fleet, 'i-stuck', clock.now(), { instance: { status: 'DRAINING', runningTasks: 0 } });
    addNote(fleet, 'i-stuck', 'draining', clock.now() - 13 * hour, clock.now() - hour);
    lose(1);
    fleet.before = (call) => {
      if (call === 'terminate i-stuck') throw new Refused('no', { code: 'AccessDenied' });
    };
    const report = await run({ maxNodes: 2 });
    expect(report.findings.find(({ instanceId }) => instanceId === 'i-stuck')).toMatchObject({ outcome: 'failed' });
    expect(whyOf(report, 'i-lost0')).toMatch(/1 of 11 nodes are leaving already, 1 may at a time/);
  });

  test('give the turn of a node that AWS refuses to change to the next one', async () => {
    addHealthy(9);
    lose(2);
    fleet.before = (call) => {
      if (call === 'drain i-lost0') throw new Refused('no', { code: 'InvalidParameterException' });
    };
    const report = await run();
    expect(report.findings.map(({ outcome }) => outcome)).toEqual(['failed', 'done']);
  });

  test('let two sweeps at once end only one node, and the same', async () => {
    addHealthy(9);
    lose(2);
    const reports = await Promise.all([run(), run()]);
    expect(new Set(drained(fleet.actions()))).toEqual(new Set(['drain i-lost0']));
    const others = reports.flatMap(({ findings }) => findings).filter(({ instanceId }) => instanceId === 'i-lost1');
    expect(others.map(({ outcome }) => outcome)).toEqual(['nothing', 'nothing']);
  });

  test('stop the sweep at once between two deeds', async () => {
    addHealthy(30);
    lose(3);
    const ends = new AbortController();
    fleet.before = (call) => {
      if (call === 'drain i-lost0') ends.abort(new Error('stopped'));
    };
    await expect(clock.finish(sweep(fleet, { ...options, maxNodes: 3 }, clock, log, ends.signal))).rejects.toThrow(
      'stopped',
    );
    expect(drained(fleet.actions())).toEqual(['drain i-lost0']);
  });
});

test.each([
  ['nothing to do', [], [], false],
  ['a finding that is done', ['done'], [], false],
  ['a finding that only a person can mend', ['done', 'nothing'], [], true],
  ['an unanswered question', [], ['OpsWorks'], true],
] as const)('a run with %s tells whether it is unfinished', (_title, outcomes, unanswered, expected) => {
  const findings = outcomes.map((outcome) => ({ kind: 'silent', instanceId: 'i-h0', why: '', outcome }) as const);
  expect(isUnfinished({ findings, unanswered: [...unanswered] } as never)).toBe(expected);
});
