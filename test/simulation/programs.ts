/** The programs that systemd runs, as main.ts composes them, but over simulated effects. */

import { runAgent } from '../../agent/agent.ts';
import { deregister } from '../../bootstrap/registrars/registrars.ts';
import { liveFirstMinutes } from '../../commands/first-minutes.ts';
import { mayDie } from '../../commands/may-die.ts';
import type { Config } from '../../core/config.ts';
import type { Host } from '../../core/host.ts';

/** Resolves with the exit code, or throws what main.ts turns into one. */
type Program = (host: Host, config: Config, signal: AbortSignal) => Promise<number>;

export const programs: Readonly<Record<'bootstrap' | 'agent', Program>> = {
  async bootstrap(host, config, signal) {
    await liveFirstMinutes(host, config, signal);
    return 0;
  },
  async agent(host, config, signal) {
    const watchdogMs = 60_000;
    await runAgent(
      host,
      config,
      { deregister, mayDie: (inner, sighting) => mayDie(host, config, inner, sighting), watchdogMs },
      signal,
    );
    return 0;
  },
};
