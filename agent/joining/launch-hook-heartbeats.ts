/** Sends the launch hook's heartbeats during work that may take longer than the hook. */

import type { Config } from '../../config/config.ts';
import type { Host } from '../../core/host.ts';
import { runAlongside } from '../run-alongside.ts';
import { sendHeartbeats, waitUntilHeartbeatDue } from './heartbeats.ts';
import type { KnownFacts } from '../known-facts.ts';

/**
 * A hook that times out terminates the node. Most work ends within `quietMs` and needs no
 * heartbeat.
 */
export async function withLaunchHookHeartbeats<T>(
  host: Host,
  config: Config,
  quietMs: number,
  signal: AbortSignal,
  work: () => Promise<T>,
  knownFacts?: KnownFacts,
): Promise<T> {
  const { launchHook: hook, launchHookSeconds: heartbeatSeconds } = config.autoScaling;
  if (hook === undefined) return work();
  const heartbeats = (callSignal: AbortSignal) =>
    waitUntilHeartbeatDue(host, config, quietMs, callSignal)
      .then(() => sendHeartbeats(host, hook, () => {}, callSignal, { heartbeatSeconds, knownFacts }))
      .catch(() => {});
  return runAlongside(heartbeats, signal, work);
}
