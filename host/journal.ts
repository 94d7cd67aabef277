/**
 * Writes to systemd's journal with native fields, so that `journalctl ECS_NODE_CAUSE=spot` finds
 * what a node said. Node.js has no datagram sockets for journald's own protocol: `logger` from
 * util-linux speaks it.
 */

import { spawnSync } from 'node:child_process';
import { fstatSync } from 'node:fs';
import type { Environment } from './environment.ts';

const standardError = 2;

/** An entry takes `logger` some 3 ms. A journald that does not answer must not stop the agent. */
const loggerMs = 1_000;

export interface LoggerOptions {
  file?: string;
  timeoutMs?: number;
}

/**
 * As in sd-daemon(3): programs whose output goes elsewhere also inherit JOURNAL_STREAM, so the file
 * is compared.
 */
export function writesToJournal(environment: Environment): boolean {
  const stream = environment['JOURNAL_STREAM'];
  if (stream === undefined || stream === '') return false;
  try {
    const { dev, ino } = fstatSync(standardError, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/**
 * Sends one entry. The values must be single lines. Synchronous: entries keep their order, and a
 * program that ends at once loses none. False when the entry may not have arrived.
 *
 * journald finds the unit of a sender by its process, and `logger` may be gone by then. OBJECT_PID
 * names the process whose entry it is, and `journalctl -u` also follows that
 * (systemd.journal-fields(7)).
 */
export function sendToJournal(
  fields: Readonly<Record<string, string>>,
  pid: number,
  { file = '/usr/bin/logger', timeoutMs = loggerMs }: LoggerOptions = {},
): boolean {
  const all = { ...fields, SYSLOG_IDENTIFIER: 'ecs-node', SYSLOG_PID: `${pid}`, OBJECT_PID: `${pid}` };
  const input = Object.entries(all)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
  const { status } = spawnSync(file, ['--journald'], {
    input,
    env: {},
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  return status === 0;
}
