/**
 * Finds configuration mistakes that an operator must fix, before anything on the node or in AWS
 * changes.
 */

import type { Config } from '../../config/config.ts';
import { ConfigError, isDenied } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { retry } from '../../core/retry.ts';
import { renderHostname } from '../naming.ts';
import { retryOptions } from '../poll.ts';
import { registrarOf } from '../registrars/registrars.ts';
import type { Step, BootstrapContext } from '../step.ts';

export const preflight: Step = {
  name: 'preflight',
  async run(host, config, context, signal) {
    if (needsAws(config)) await mustHaveCredentials(host, context, signal);
    await renderHostname(host, config, context, signal);
    await registrarOf(config).prepare?.(host, config, context, signal);
    return 'unchanged';
  },
};

function needsAws(config: Config): boolean {
  return config.registrar !== 'none' || config.name !== '' || config.terminationProtection === 'clear';
}

/**
 * Without an instance profile, the environment may still hold credentials; a harmless call shows
 * that. A profile that is attached after the launch appears in the metadata service within a
 * minute.
 */
async function mustHaveCredentials(host: Host, context: BootstrapContext, signal: AbortSignal): Promise<void> {
  if (host.identity.role !== undefined) return;
  const profileMs = 60_000;
  const call = async (callSignal: AbortSignal) => {
    const { role } = await host.metadata.readIdentity(callSignal);
    if (role === undefined) await host.cloud.readTerminationProtection(callSignal);
  };
  try {
    await retry(call, {
      ...retryOptions(host, context, signal),
      withinMs: Math.min(profileMs, context.leftMs() / 2),
      pauseMs: 5_000,
      maxPauseMs: 5_000,
      retryIf: (error) => !isDenied(error),
    });
  } catch (error) {
    signal.throwIfAborted();
    // "Access denied" proves that there are credentials.
    if (!isDenied(error)) throw noProfile(error);
  }
}

function noProfile(cause: unknown): ConfigError {
  const problem =
    'the instance has none, so AWS cannot be called; attach one (launch template: IamInstanceProfile) with the policy that "ecs-node policy" prints';
  return new ConfigError([{ path: 'instance profile', problem }], { cause });
}
