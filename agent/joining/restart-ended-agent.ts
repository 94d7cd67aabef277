/**
 * Starts the ECS agent again that ended for good while the node joins: systemd does not restart it
 * after exit code 5, which it also gives for a cluster that is made a minute later.
 */

import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { callOnce } from '../calls.ts';

/** One call to systemd each: an agent that starts is left alone. */
const firstPauseMs = 30_000;
const longestPauseMs = 300_000;

/** systemd only hands a message over. Joining must not wait for one that hangs. */
const systemdMs = 10_000;

/** For one join: asks systemd now and then, less and less often. */
export function openAgentRestarter(host: Host): (signal: AbortSignal) => Promise<void> {
  let pauseMs = firstPauseMs;
  let dueAt = host.clock.uptime() + pauseMs;
  return async (signal) => {
    if (host.clock.uptime() < dueAt) return;
    dueAt = host.clock.uptime() + pauseMs;
    try {
      // "inactive" is a person's doing, or an agent that has not been started yet.
      const read = (callSignal: AbortSignal) => host.machine.readUnitState('ecs.service', callSignal);
      if ((await callOnce(host, signal, read, systemdMs)) !== 'failed') return;
      host.log.warn('starting the ECS agent again, which has ended');
      const restart = (callSignal: AbortSignal) => host.machine.restartUnit('ecs.service', callSignal);
      await callOnce(host, signal, restart, systemdMs);
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
      dueAt = host.clock.uptime() + pauseMs;
    } catch (error) {
      signal.throwIfAborted();
      host.log.warn('ECS agent not started again', { error: messageOf(error) });
    }
  };
}
