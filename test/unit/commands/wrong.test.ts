import { expect, test } from 'vitest';
import { wrongOf } from '../../../commands/status/wrong.ts';
import type { Status } from '../../../commands/status/status-report.ts';
import type { DepartureState } from '../../../core/state/state.ts';

const now = 1_000_000;
const watcher = { finding: 'well', at: now, since: now };
const bootstrap = { outcome: 'done', steps: [{ name: 'register', state: 'done' }] } as unknown as Status['bootstrap'];
const agent = {
  at: now,
  join: { state: 'joined', detail: 'in service', since: 0 },
  watchers: { spot: watcher },
} as unknown as NonNullable<Status['agent']>;
const good: Status = { bootstrap, agent, remarks: [] } as unknown as Status;

test('a node in service, a joining and a booting node have no fault', () => {
  expect(wrongOf(good, now)).toEqual([]);
  const joining = { ...agent, join: { state: 'joining', detail: '', since: 0 } } as typeof agent;
  expect(wrongOf({ ...good, agent: joining }, now)).toEqual([]);
  const { agent: _, ...booting } = { ...good, bootstrap: { ...bootstrap, outcome: 'running' } as Status['bootstrap'] };
  expect(wrongOf(booting as Status, now)).toEqual([]);
});

test.each<[string, Partial<Status>, string]>([
  [
    'a failed step',
    { bootstrap: { outcome: 'failed', reason: 'refused', steps: [] } as unknown as NonNullable<Status['bootstrap']> },
    'bootstrap failed: refused',
  ],
  ['a silent agent', { agent: { ...agent, at: now - 200_000 } }, 'the agent gives no sign of life'],
  [
    'a launch hook',
    { agent: { ...agent, launchHook: { why: 'denied', since: 0 } } },
    'launch hook not completed: denied',
  ],
  [
    'a full disk',
    { agent: { ...agent, watchers: { disk: { ...watcher, finding: 'ailing', reason: '/ 91 %' } } } },
    'disk: / 91 %',
  ],
  [
    'a maintenance event that only a person can judge',
    {
      agent: {
        ...agent,
        watchers: { maintenance: { ...watcher, finding: 'notable', reason: 'malformed event', needsPerson: true } },
      },
    },
    'maintenance: malformed event',
  ],
  [
    'a watcher that cannot tell',
    { agent: { ...agent, watchers: { docker: { ...watcher, error: 'no answer' } } } },
    'docker: could not tell: no answer',
  ],
  [
    'a chore',
    { agent: { ...agent, chores: { addresses: { outcome: 'failed', at: now, error: 'denied' } } } },
    'addresses: denied',
  ],
  ['a departure', { departure: { cause: 'spot', reason: 'notice' } as DepartureState }, 'departure (spot): notice'],
  ['a file of another form', { remarks: ['agent.json: ignored'] }, 'agent.json: ignored'],
])('%s is a fault', (_, change, line) => {
  expect(wrongOf({ ...good, ...change }, now)).toEqual([expect.stringContaining(line)]);
});

test('a maintenance event that the node will act on by itself is no fault', () => {
  const maintenance = { ...watcher, finding: 'notable', reason: 'system-reboot not before 2030' };
  expect(wrongOf({ ...good, agent: { ...agent, watchers: { maintenance } } }, now)).toEqual([]);
});

test('a departure that was called off is no fault', () => {
  const departure = { cause: 'operator', reason: 'x', undoneAt: 1 } as DepartureState;
  expect(wrongOf({ ...good, departure }, now)).toEqual([]);
});

test('a machine on which nothing has run is not well', () => {
  expect(wrongOf({ remarks: [] }, now)).toEqual(['nothing has run on this machine yet']);
});
