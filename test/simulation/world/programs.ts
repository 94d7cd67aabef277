/** The programs that systemd runs, composed as in main.ts, but over simulated effects. */

import { runAgent } from '../../../agent/agent.ts';
import { deregister } from '../../../bootstrap/registrars/registrars.ts';
import { runBootstrap } from '../../../commands/node/bootstrap-command.ts';
import { readConfig, readConfigOrLastGood } from '../../../commands/node/effective.ts';
import { keepBooted } from '../../../commands/last-good.ts';
import { mayTerminate } from '../../../commands/node/join-failure.ts';
import { runWithReload } from '../../../commands/node/reload-loop.ts';
import type { Config } from '../../../config/config.ts';
import { chores } from '../../../upkeep/chores.ts';
import type { Host } from '../../../core/host.ts';
import { paths } from '../../../core/state/state.ts';
import { useConfig, type NodeConfiguration } from './node-configuration.ts';

/** As in commands/: the last events have this long. */
const closeMs = 3_000;

/** The node around a program that reads its own configuration; in other lives it is given. */
export interface ProgramLife {
  /** Opens the node again, for an agent with another configuration. */
  open(): Host;
  configuration: NodeConfiguration | undefined;
}

/** Resolves with the exit code, or throws an error that main.ts turns into one. */
type Program = (host: Host, config: Config, signal: AbortSignal, life?: ProgramLife) => Promise<number>;

export const programs: Readonly<Record<'bootstrap' | 'agent', Program>> = {
  async bootstrap(host, given, signal, life) {
    try {
      host.events.resume();
      const config = life?.configuration === undefined ? given : await readConfig(host, placeOf(host), signal);
      await runBootstrap(host, config, signal);
      if (life?.configuration !== undefined) await keepBooted(host.machine, config, host.log);
      return 0;
    } finally {
      await host.events.close(closeMs);
    }
  },
  async agent(host, config, signal, life) {
    if (life?.configuration !== undefined) return runReloading(host, life.configuration, life, signal);
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

const placeOf = ({ log }: Host) => ({ configFile: paths.config, configFileGiven: false, log });

/** As commands/agent.ts composes it. The child process that reads the configuration is inside. */
async function runReloading(
  host: Host,
  configuration: NodeConfiguration,
  { open }: ProgramLife,
  signal: AbortSignal,
): Promise<number> {
  const first = await readConfigOrLastGood(host, placeOf(host), signal);
  let isFirst = true;
  await runWithReload(
    {
      open(config) {
        useConfig(configuration, config);
        const opened = isFirst ? host : open();
        isFirst = false;
        return opened;
      },
      readEffective: async (callSignal) => ({
        config: await readConfig(host, placeOf(host), callSignal),
        revision: 'none',
      }),
      pull: async () => ({ outcome: 'unchanged', revision: 'none' }),
      onReload: (listener) => void (configuration.reload = listener),
      options: (own, config) => ({
        deregister,
        mayTerminate: (callSignal, knownFacts) => mayTerminate(own, config, callSignal, knownFacts),
        watchdogMs: 60_000,
      }),
    },
    { ...first, revision: 'none' },
    signal,
  );
  return 0;
}
