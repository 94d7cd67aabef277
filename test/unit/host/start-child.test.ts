import { EventEmitter } from 'node:events';
import { expect, test, vi } from 'vitest';
import { Unavailable } from '../../../core/errors.ts';
import { openLog } from '../../../core/log.ts';
import { openChildCloud } from '../../../host/aws/child/child-cloud.ts';
import { runBounded } from '../../../host/bounded-child.ts';
import { readChildOutput } from '../../../host/child-output.ts';
import { run } from '../../../host/processes.ts';

const failure = vi.hoisted(() => ({ spawn: (): unknown => undefined }));

vi.mock(import('node:child_process'), async (original) => ({
  ...(await original()),
  spawn: (() => failure.spawn()) as never,
}));

const patient = new AbortController().signal;
const file = '/bin/true';
const log = openLog(
  () => {},
  () => 0,
);

const starts: [string, () => Promise<unknown>][] = [
  ['a call to AWS', () => openChildCloud(file, [], {}, log).readPing(patient)],
  ['a program', () => run({ file, args: [], environment: {} }, patient)],
  ['a program that may hang', () => runBounded(file, [], {}, 1_000)],
  ['this program', () => readChildOutput(file, [], {}, patient)],
];

// A departure went through all its phases in an instant, with tasks RUNNING and its hook open.
test.each(starts)('without memory for it, %s is Unavailable', async (_, start) => {
  failure.spawn = () => {
    throw Object.assign(new Error('spawn ENOMEM'), { code: 'ENOMEM', syscall: 'spawn' });
  };
  const error = await start().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Unavailable);
  expect(error).toMatchObject({ message: `cannot run ${file}: spawn ENOMEM` });
});

// `spawn` then returns a child without pipes, and emits the failure afterwards.
test.each(starts)('without a free file descriptor, %s is Unavailable', async (_, start) => {
  const child = new EventEmitter();
  failure.spawn = () => {
    process.nextTick(() => child.emit('error', Object.assign(new Error('spawn EMFILE'), { code: 'EMFILE' })));
    return child;
  };
  const error = await start().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Unavailable);
  expect(error).toMatchObject({ message: `cannot run ${file}: no file descriptor is free` });
});
