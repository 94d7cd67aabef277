/**
 * Restarts an ECS agent that ended for good while the node joins. systemd does not restart it after
 * exit code 5, which it also returns for a cluster that is created a minute later.
 */

import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { callOnce } from '../calls.ts';

/** One look at systemd each time. An agent that is starting is left alone. */
const firstPauseMs = 30_000;
const longestPauseMs = 300_000;

/** The call only passes a message to systemd. Joining must not wait for a systemd that hangs. */
const systemdMs = 10_000;

/** Serves one join: checks systemd's unit state, less and less often. */
export function openAgentRestarter(host: Host): (signal: AbortSignal) => Promise<void> {
  let pauseMs = firstPauseMs;
  let dueAt = host.clock.uptime() + pauseMs;
  return async (signal) => {
    if (host.clock.uptime() < dueAt) return;
    dueAt = host.clock.uptime() + pauseMs;
    try {
      // "inactive" means that a person stopped the agent, or that it has not been started yet.
      const read = (callSignal: AbortSignal) => host.machine.readUnitState('ecs.service', callSignal);
      if ((await callOnce(host, signal, read, systemdMs)) !== 'failed') return;
      host.log.warn('restarting the ECS agent, which has ended');
      const restart = (callSignal: AbortSignal) => host.machine.restartUnit('ecs.service', callSignal);
      await callOnce(host, signal, restart, systemdMs);
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
      dueAt = host.clock.uptime() + pauseMs;
    } catch (error) {
      signal.throwIfAborted();
      host.log.warn('ECS agent not restarted', { error: messageOf(error) });
    }
  };
}
