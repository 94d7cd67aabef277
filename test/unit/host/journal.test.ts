import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { sendToJournal } from '../../../host/journal.ts';

// The real journald is asked in test/boot/a-spot-notice-drains-the-node.
const folder = mkdtempSync(join(tmpdir(), 'ecs-node-journal-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function logger(script: string): string {
  const file = join(folder, 'logger');
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

test('an entry names its process, for "journalctl -u"', () => {
  const told = join(folder, 'told');
  // A loaded machine may need longer than the second that an entry has.
  const patient = { file: logger(`cat >${told}`), timeoutMs: 60_000 };
  expect(sendToJournal({ MESSAGE: 'leaving', ECS_NODE_CAUSE: 'spot' }, 4711, patient)).toBe(true);
  expect(readFileSync(told, 'utf8').split('\n')).toEqual([
    'MESSAGE=leaving',
    'ECS_NODE_CAUSE=spot',
    'SYSLOG_IDENTIFIER=ecs-node',
    'SYSLOG_PID=4711',
    'OBJECT_PID=4711',
    '',
  ]);
});

test('an entry that may be lost is reported: no logger, a failing one, one that hangs', () => {
  expect(sendToJournal({ MESSAGE: 'x' }, 4711, { file: join(folder, 'absent') })).toBe(false);
  expect(sendToJournal({ MESSAGE: 'x' }, 4711, { file: logger('exit 1') })).toBe(false);
  expect(sendToJournal({ MESSAGE: 'x' }, 4711, { file: logger('exec sleep 600') })).toBe(false);
});
