/**
 * Runs the operator's executables in /etc/ecs-node/hooks.d. A failure is logged and stops nothing.
 */

import type { Config } from '../config/config.ts';
import { messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { withTimeout } from '../core/retry.ts';
import { paths, type DepartureState } from '../core/state/state.ts';

export type Occasion = 'joined' | 'leaving' | 'left';

/** The same rule as run-parts: no hidden files, no editors' backups, no README.md. */
const runnable = /^[A-Za-z0-9_][A-Za-z0-9_-]*(\.(sh|py|pl|rb))?$/;

/** The path of a systemd service, so that scripts find the usual programs. */
const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Runs them in the order of their names, each within `leave.hookSeconds` and all within `allMs`.
 */
export async function runHooks(
  host: Host,
  config: Config,
  occasion: Occasion,
  departure: DepartureState | undefined,
  allMs: number,
  signal: AbortSignal,
): Promise<void> {
  const folder = `${paths.hooks}/${occasion}`;
  const endsAt = host.clock.uptime() + allMs;
  for (const name of await listHooks(host, folder)) {
    const ms = Math.min(config.leave.hookSeconds * 1000, endsAt - host.clock.uptime());
    if (ms <= 0) {
      host.log.warn('hooks cut off', { occasion, next: name });
      return;
    }
    const environment = factsFor(host, config, occasion, departure);
    const command = { file: `${folder}/${name}`, args: [], environment, rootOwned: true as const };
    const began = host.clock.uptime();
    try {
      const { code, tail } = await withTimeout(
        ms,
        async (callSignal) => {
          await host.machine.mustAnswer(command.file);
          return host.machine.run(command, callSignal);
        },
        host.clock,
        signal,
      );
      const fields = { hook: `${occasion}/${name}`, code, ms: Math.round(host.clock.uptime() - began) };
      if (code === 0) host.log.info('hook ran', fields);
      else host.log.warn('hook failed', { ...fields, tail: tail.slice(-500) });
    } catch (error) {
      signal.throwIfAborted();
      host.log.warn('hook failed', { hook: `${occasion}/${name}`, error: messageOf(error) });
    }
  }
}

async function listHooks(host: Host, folder: string): Promise<string[]> {
  try {
    await host.machine.mustAnswer(folder);
    return (await host.machine.list(folder)).filter((name) => runnable.test(name));
  } catch (error) {
    host.log.warn('hooks not listed', { folder, error: messageOf(error) });
    return [];
  }
}

function factsFor(
  host: Host,
  config: Config,
  occasion: Occasion,
  departure: DepartureState | undefined,
): Record<string, string> {
  const { instanceId, region, zone, privateIp } = host.identity;
  return {
    PATH: searchPath,
    LANG: 'C.UTF-8',
    ECS_NODE_EVENT: occasion,
    ECS_NODE_CLUSTER: config.cluster,
    ECS_NODE_INSTANCE_ID: instanceId,
    ECS_NODE_REGION: region,
    ECS_NODE_ZONE: zone,
    ECS_NODE_PRIVATE_IP: privateIp,
    ...(departure !== undefined && {
      ECS_NODE_CAUSE: departure.cause,
      ECS_NODE_REASON: departure.reason,
      ECS_NODE_ENDING: departure.ending,
      ECS_NODE_DEADLINE: new Date(departure.deadline).toISOString(),
    }),
  };
}
