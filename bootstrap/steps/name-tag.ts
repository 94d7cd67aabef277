/**
 * Sets the instance's Name tag, so that people find it in the console. The same call sets the tag
 * with the ecs-node version.
 */

import type { Config } from '../../config/config.ts';
import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { withTimeout } from '../../core/retry.ts';
import { paths, renderState } from '../../core/state/state.ts';
import { version as ownVersion } from '../../core/version.ts';
import { renderNameTag } from '../naming.ts';
import type { StepOutcome, Step, BootstrapContext } from '../step.ts';
import { tryOptional, logOptionalFailure } from '../poll.ts';

export const nameTag: Step = {
  name: 'name-tag',
  run: (host, config, context, signal) => tagName(host, config, context, signal),
};

/** `ecs-node fleet` reads this tag. */
const versionTag = 'ecs-node:version';

const notSet = 'Name tag not set';

/**
 * The registrar calls this again when it had to change the host name. A failure of EC2 never fails
 * the step: a node works without its Name.
 */
export async function tagName(
  host: Host,
  config: Config,
  context: BootstrapContext,
  signal: AbortSignal,
  version: string | undefined = ownVersion,
): Promise<StepOutcome> {
  if (config.name === '') return 'skipped';
  const name = await renderNameTag(context.hostname ?? host.identity.hostname, host, config, context, signal);
  const tags = { Name: name, ...(version !== undefined && { [versionTag]: version }) };
  if (await hasTags(host, tags, signal)) return forgetLateTags(host, signal, 'unchanged');
  const isSet = await tryOptional(notSet, host, context, signal, async (callSignal) => {
    await host.cloud.tagSelf(tags, callSignal);
    return true;
  });
  if (isSet) return forgetLateTags(host, signal, 'changed');
  await leaveToAgent(host, tags, signal);
  return 'skipped';
}

/**
 * EC2 accepts ten such calls a second. Of thousands of nodes launched together, each would wait for
 * it, so the agent sets the tags later.
 */
async function leaveToAgent(host: Host, tags: Record<string, string>, signal: AbortSignal): Promise<void> {
  const { instanceId } = host.identity;
  await host.machine
    .writeText(paths.lateTags, renderState({ instanceId, tags }))
    .catch((error: unknown) => logOptionalFailure(notSet, host, error, signal));
}

/** An earlier attempt may have left an outdated name for the agent to set. */
async function forgetLateTags(host: Host, signal: AbortSignal, outcome: StepOutcome): Promise<StepOutcome> {
  await host.machine
    .remove(paths.lateTags)
    .catch((error: unknown) => logOptionalFailure('late tags not forgotten', host, error, signal));
  return outcome;
}

/** The metadata service answers in milliseconds. */
const readMs = 2_000;

/**
 * The metadata service costs no AWS call. Where it does not show tags, writing them twice does no
 * harm.
 */
async function hasTags(host: Host, tags: Readonly<Record<string, string>>, signal: AbortSignal): Promise<boolean> {
  try {
    for (const [key, value] of Object.entries(tags)) {
      const read = (callSignal: AbortSignal) => host.metadata.readTag(key, callSignal);
      if ((await withTimeout(readMs, read, host.clock, signal)) !== value) return false;
    }
    return true;
  } catch (error) {
    signal.throwIfAborted();
    host.log.debug('tag not readable', { error: messageOf(error) });
    return false;
  }
}
