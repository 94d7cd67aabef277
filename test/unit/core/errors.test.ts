import { expect, test } from 'vitest';
import { ConfigError, exitCode, Refused, StepError, Unavailable, Unfit, UsageError } from '../../../core/errors.ts';

test.each([
  [new UsageError('no such command'), 64],
  [new Unavailable('throttled'), 75],
  [new Refused('AccessDenied'), 77],
  [new Unfit('opsworks-record', 'setup_failed'), 77],
  [new ConfigError([{ path: 'cluster', problem: 'missing' }]), 78],
  [new TypeError('undefined is not a function'), 70],
  ['thrown by somebody who does not know better', 70],
])('%s ends with exit code %i, inside a step or not', (error, code) => {
  expect(exitCode(error)).toBe(code);
  expect(exitCode(new StepError('register', error))).toBe(code);
});

test('a configuration error shows every fault with its place, its problem and its source', () => {
  const error = new ConfigError([
    { path: 'cluster', problem: 'missing' },
    { path: 'disk.fullPercent', problem: 'must be at most 100; found 120', source: '/etc/ecs-node/config.yaml' },
  ]);
  expect(error.message.split('\n')).toEqual([
    'cluster: missing',
    'disk.fullPercent: must be at most 100; found 120 (from /etc/ecs-node/config.yaml)',
  ]);
});
