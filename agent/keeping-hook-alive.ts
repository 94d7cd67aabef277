/** Sends the launch hook's heartbeats beside some work that may take longer than the hook. */

import type { Config } from '../core/config.ts';
import type { Host } from '../core/host.ts';
import { beside } from './beside.ts';
import { keepHookAlive, untilBeatIsDue } from './heartbeats.ts';
import type { Sighting } from './sighting.ts';

/** A hook that times out ends the node. Most work is over within `quietMs`, and then spares the calls. */
export async function keepingHookAlive<T>(
  host: Host,
  config: Config,
  quietMs: number,
  signal: AbortSignal,
  work: () => Promise<T>,
  sighting?: Sighting,
): Promise<T> {
  const { launchHook: hook, launchHookSeconds: heartbeatSeconds } = config.autoScaling;
  if (hook === undefined) return work();
  const beat = (inner: AbortSignal) =>
    untilBeatIsDue(host, config, quietMs, inner)
      .then(() => keepHookAlive(host, hook, () => {}, inner, { heartbeatSeconds, sighting }))
      .catch(() => {});
  return beside(beat, signal, work);
}
