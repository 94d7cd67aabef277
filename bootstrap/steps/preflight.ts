/**
 * Finds mistakes that an operator must fix, before anything on the node or in AWS changes. Only a
 * fault in a file's own text is a ConfigError. An answer from outside may be wrong for a minute,
 * and systemd does not start the bootstrap again after a ConfigError.
 */

import type { Config } from '../../config/config.ts';
import { Unavailable, isDenied, messageOf } from '../../core/errors.ts';
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
  // Silence of the metadata service says nothing about the profile.
  let lacksRole = false;
  const call = async (callSignal: AbortSignal) => {
    lacksRole = false;
    const { role } = await host.metadata.readIdentity(callSignal);
    lacksRole = role === undefined;
    if (lacksRole) await host.cloud.readTerminationProtection(callSignal);
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
    if (!isDenied(error)) throw lacksRole ? noProfile(error) : error;
  }
}

/** A profile may appear later than `profileMs`, so systemd starts the bootstrap again. */
function noProfile(cause: unknown): Unavailable {
  const problem =
    'the instance has none, so AWS cannot be called; attach one (launch template: IamInstanceProfile) with the policy that "ecs-node policy" prints';
  return new Unavailable(`instance profile: ${problem} (${messageOf(cause)})`, { cause });
}
