import { expect, test } from 'vitest';
import { parseStopTimeout } from '../../../../agent/departure/stop-time.ts';

const key = 'ECS_CONTAINER_STOP_TIMEOUT';

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
  ['', 30_000],
  ['10', 30_000],
  ['.s', 30_000],
])('the stop timeout %j is %d ms, as in Go', (value, ms) => {
  expect(parseStopTimeout(`ECS_CLUSTER=demo\n${key}=${value}\n`)).toBe(ms);
});

test('the last assignment counts', () => {
  expect(parseStopTimeout(`${key}=10m\n# ${key}=3m\n${key}="20m"\n`)).toBe(1_200_000);
});
