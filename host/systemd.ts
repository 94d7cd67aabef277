/** systemd through its own tools: restart a unit, power off, notify about this service. */

import { Refused, Unavailable } from '../core/errors.ts';
import type { ProcessCommand, Exit } from '../core/host.ts';
import { visibleLine } from '../core/visible.ts';

/** systemctl and systemd-notify only pass a message on. */
const toolTimeoutMs = 10_000;

/** systemd ignores more than 4096 bytes at once. Each of these characters has at most 3. */
const maxAssignment = 1_000;

type Run = (command: ProcessCommand, signal: AbortSignal) => Promise<Exit>;

const systemctl = (...args: string[]): ProcessCommand => ({ file: '/usr/bin/systemctl', args, environment: {} });

/**
 * Does not wait: a unit that is ordered after this one would wait for this one in turn. Refused:
 * the unit does not exist.
 */
export async function restartUnit(run: Run, unit: string, signal: AbortSignal): Promise<void> {
  mustBeUnit(unit);
  const { code, tail } = await run(systemctl('--no-block', 'restart', unit), signal);
  if (code === 0) return;
  const why = `systemctl cannot restart ${unit} (exit ${code}): ${tail.trim()}`;
  if (code === 5) throw new Refused(why, { code: 'NoSuchUnit' });
  throw new Unavailable(why);
}

/** Does not wait, for the same reason. A unit that does not exist is stopped. */
export async function stopUnit(run: Run, unit: string, signal: AbortSignal): Promise<void> {
  mustBeUnit(unit);
  const { code, tail } = await run(systemctl('--no-block', 'stop', unit), signal);
  if (code !== 0 && code !== 5) throw new Unavailable(`systemctl cannot stop ${unit} (exit ${code}): ${tail.trim()}`);
}

function mustBeUnit(unit: string): void {
  if (!/^[\w@:.\\-]+$/.test(unit) || unit.startsWith('-')) throw new TypeError(`not a unit: ${unit}`);
}

/** `systemctl is-active` says it on its output, whatever its exit code. */
export async function readUnitState(run: Run, unit: string, signal: AbortSignal): Promise<string> {
  const { tail } = await run(systemctl('is-active', unit), signal);
  const state = tail.trim().split('\n').at(-1) ?? '';
  if (!/^[a-z-]+$/.test(state)) throw new Unavailable(`systemctl does not say how ${unit} is: ${tail.trim()}`);
  return state;
}

/** An orderly shutdown. If systemd does not answer, a forced one. */
export async function powerOff(run: Run, signal: AbortSignal): Promise<void> {
  const first = await run(systemctl('--no-block', 'poweroff'), signal);
  if (first.code === 0) return;
  const second = await run(systemctl('--force', 'poweroff'), signal);
  if (second.code === 0) return;
  throw new Unavailable(`systemctl cannot power the machine off (exit ${second.code}): ${second.tail.trim()}`);
}

/**
 * Node.js has no datagram sockets, so the tool sends it. Never throws: a missed notification must
 * not end the agent.
 *
 * A status may hold text of others. systemd reads each of its lines as an assignment in root's
 * name, such as MAINPID=, so no line break is passed on.
 */
export async function notify(run: Run, socket: string | undefined, assignments: readonly string[]): Promise<void> {
  if (socket === undefined || socket === '') return;
  const args = ['--', ...assignments.map((text) => visibleLine(text).slice(0, maxAssignment))];
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(new Unavailable('systemd-notify hangs')), toolTimeoutMs);
  try {
    await run({ file: '/usr/bin/systemd-notify', args, environment: { NOTIFY_SOCKET: socket } }, deadline.signal);
  } catch {
    // The watchdog of the unit detects a missing notification.
  } finally {
    clearTimeout(timer);
  }
}
