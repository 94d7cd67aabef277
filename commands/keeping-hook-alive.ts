/** Sends the launch hook's heartbeats beside some work that may take longer than the hook. */

import { keepHookAlive, untilBeatIsDue } from '../agent/heartbeats.ts';
import type { Sighting } from '../agent/sighting.ts';
import type { Config } from '../core/config.ts';
import type { Host } from '../core/host.ts';

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
  const done = new AbortController();
  const both = AbortSignal.any([signal, done.signal]);
  const heartbeats = untilBeatIsDue(host, config, quietMs, both)
    .then(() => keepHookAlive(host, hook, () => {}, both, { heartbeatSeconds, sighting }))
    .catch(() => {});
  try {
    return await work();
  } finally {
    done.abort(new Error('nothing waits for the hook any more'));
    await heartbeats;
  }
}
