import { expect, test, vi } from 'vitest';
import { openProgress } from '../../scripts/progress.ts';

function open(isTTY: boolean, total?: number) {
  const written: string[] = [];
  const clock = { now: 0 };
  const output = { isTTY, columns: 30, write: (text: string) => written.push(text) };
  const progress = openProgress({
    name: 'simulate',
    ...(total !== undefined && { total }),
    output,
    now: () => clock.now,
  });
  return { progress, written, clock };
}

test('a log gets the first count, then one line each quarter of a minute, with what is left', () => {
  const { progress, written, clock } = open(false, 100);
  for (let done = 0; done <= 40; done++) {
    clock.now = done * 1_000;
    progress.at('lives', done);
  }
  expect(written).toEqual([
    'simulate: lives (0 of 100, 0 s so far)\n',
    'simulate: lives (15 of 100, 15 s so far, about 85 s left)\n',
    'simulate: lives (30 of 100, 30 s so far, about 70 s left)\n',
  ]);
});

test('a log gets each step of work that cannot be counted, once', () => {
  const { progress, written } = open(false);
  for (const step of ['bundle', 'bundle', 'pack']) progress.at(step);
  expect(written).toEqual(['simulate: bundle (0 s so far)\n', 'simulate: pack (0 s so far)\n']);
});

test('a log gets a sign of life each minute while a step lasts, and none after the end', () => {
  vi.useFakeTimers();
  const { progress, written, clock } = open(false);
  progress.at('packs the RPM');
  for (let minute = 1; minute <= 2; minute++) {
    clock.now = minute * 60_000;
    vi.advanceTimersByTime(60_000);
  }
  progress.clear();
  vi.advanceTimersByTime(600_000);
  vi.useRealTimers();
  expect(written).toEqual([
    'simulate: packs the RPM (0 s so far)\n',
    'simulate: packs the RPM (60 s so far)\n',
    'simulate: packs the RPM (2 min so far)\n',
  ]);
});

test('a terminal shows one line, within its width, and nothing of it remains', () => {
  const { progress, written, clock } = open(true, 100);
  progress.at('a very long name of a step', 1);
  clock.now = 50;
  progress.at('a very long name of a step', 2);
  progress.clear();
  expect(written).toEqual(['\r\u001b[Ksimulate: a very long name of', '\r\u001b[K']);
});
