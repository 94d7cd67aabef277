import { expect, test } from 'vitest';
import { parseStopTimeout } from '../../../../agent/departure/stop-time.ts';

const key = 'ECS_CONTAINER_STOP_TIMEOUT';

/** The times are those of the agent's parseDockerStopTimeout, with Go's time.ParseDuration. */
test.each([
  ['2m', 120_000],
  ['1h30m', 5_400_000],
  ['.5h', 1_800_000],
  ['1.m', 60_000],
  ['+10m', 600_000],
  ['600000000us', 600_000],
  ['600000000µs', 600_000],
  ['120000000000ns', 120_000],
  ['1ms', 1_000],
  ['0.0000000001h', 1_000],
  ['-5s', 1_000],
  ['2562047h', 9_223_369_200_000],
  ['2562048h', 30_000],
  ['0', 30_000],
  ['+0', 30_000],
  ['0s', 30_000],
  ['0.6ns0.6ns', 30_000],
  ['', 30_000],
  ['10', 30_000],
  ['.s', 30_000],
  ['--1s', 30_000],
  ['1e3s', 30_000],
  ['1.5.5s', 30_000],
  ['1h 30m', 30_000],
  ['10m # ten', 30_000],
  ['"20m"', 30_000],
])('the stop timeout %j is %d ms, as for the ECS agent', (value, ms) => {
  expect(parseStopTimeout(`ECS_CLUSTER=demo\n${key}=${value}\n`)).toBe(ms);
});

test('the last assignment counts', () => {
  expect(parseStopTimeout(`${key}=10m\n# ${key}=3m\n ${key}=20m \r\n`)).toBe(1_200_000);
});

// ecs-init cuts each line at its first "=", and neither strips nor expands anything.
test.each([`${key} = 10m`, `export ${key}=10m`, `MY_${key}=10m`, `${key}: 10m`])(
  '%j sets no stop timeout, as for ecs-init',
  (line) => {
    expect(parseStopTimeout(line)).toBe(30_000);
  },
);
