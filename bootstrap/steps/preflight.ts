/**
 * Finds configuration mistakes that an operator must fix, before anything on the node or in AWS
 * changes.
 */

import type { Config } from '../../config/config.ts';
import { ConfigError, isDenied } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { renderHostname } from '../naming.ts';
import { resolveOpsWorksTarget } from '../registrars/opsworks/target.ts';
import type { Step, BootstrapContext } from '../step.ts';

export const preflight: Step = {
  name: 'preflight',
  async run(host, config, context, signal) {
    if (needsAws(config)) await mustHaveCredentials(host, context, signal);
    await renderHostname(host, config, context, signal);
    if (config.registrar === 'opsworks')
      context.opsworksTarget ??= await resolveOpsWorksTarget(host, config, context, signal);
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
  const until = host.clock.uptime() + Math.min(profileMs, context.leftMs() / 2);
  for (;;) {
    try {
      const { role } = await host.metadata.readIdentity(signal);
      if (role !== undefined) return;
      await host.cloud.readTerminationProtection(signal);
      return;
    } catch (error) {
      signal.throwIfAborted();
      // "Access denied" proves that there are credentials.
      if (isDenied(error)) return;
      if (host.clock.uptime() >= until) throw noProfile(error);
      await host.clock.sleep(5_000, signal);
    }
  }
}

function noProfile(cause: unknown): ConfigError {
  const problem =
    'the instance has none, so AWS cannot be called; attach one (launch template: IamInstanceProfile) with the policy that "ecs-node policy" prints';
  return new ConfigError([{ path: 'instance profile', problem }], { cause });
}
