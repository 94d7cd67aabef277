/** The programs that systemd runs, composed as in main.ts, but over simulated effects. */

import { runAgent } from '../../../agent/agent.ts';
import { deregister } from '../../../bootstrap/registrars/registrars.ts';
import { runBootstrap } from '../../../commands/node/bootstrap-command.ts';
import { mayTerminate } from '../../../commands/node/join-failure.ts';
import type { Config } from '../../../config/config.ts';
import { chores } from '../../../upkeep/chores.ts';
import type { Host } from '../../../core/host.ts';

/** As in commands/: the last events have this long. */
const closeMs = 3_000;

/** Resolves with the exit code, or throws an error that main.ts turns into one. */
type Program = (host: Host, config: Config, signal: AbortSignal) => Promise<number>;

export const programs: Readonly<Record<'bootstrap' | 'agent', Program>> = {
  async bootstrap(host, config, signal) {
    try {
      host.events.resume();
      await runBootstrap(host, config, signal);
      return 0;
    } finally {
      await host.events.close(closeMs);
    }
  },
  async agent(host, config, signal) {
    const watchdogMs = 60_000;
    host.events.resume();
    try {
      await runAgent(
        host,
        config,
        {
          deregister,
          mayTerminate: (callSignal, knownFacts) => mayTerminate(host, config, callSignal, knownFacts),
          watchdogMs,
          chores: chores(config, async () => 'unchanged'),
        },
        signal,
      );
      return 0;
    } finally {
      await host.events.close(closeMs);
    }
  },
};
