/** Gives the instance its Name, so that people find it in the console, and with the same call the version that looks after it. */

import type { Config } from '../../core/config.ts';
import { isDenied, messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { version as ownVersion } from '../../core/version.ts';
import { renderNameTag } from '../naming.ts';
import type { Outcome, Step, Trail } from '../step.ts';
import { ask } from '../waiting.ts';

export const nameTag: Step = {
  name: 'name-tag',
  run: (host, config, trail, signal) => tagName(host, config, trail, signal),
};

/** As `ecs-node fleet` reads it. */
const versionTag = 'ecs-node:version';

/** Also for a registrar that had to change the host name. */
export async function tagName(
  host: Host,
  config: Config,
  trail: Trail,
  signal: AbortSignal,
  version: string | undefined = ownVersion,
): Promise<Outcome> {
  if (config.name === '') return 'skipped';
  const name = await renderNameTag(trail.hostname ?? host.identity.hostname, host, config, trail, signal);
  const tags = { Name: name, ...(version !== undefined && { [versionTag]: version }) };
  if (await hasTags(host, tags, signal)) return 'unchanged';
  try {
    await ask(host, trail, signal, (inner) => host.cloud.tagSelf(tags, inner));
  } catch (error) {
    // A name is for people; a node without one works.
    if (!isDenied(error)) throw error;
    host.log.warn('Name tag not set', { error: messageOf(error) });
    return 'skipped';
  }
  return 'changed';
}

/** The metadata service costs no AWS call; where it does not show tags, writing twice does no harm. */
async function hasTags(host: Host, tags: Readonly<Record<string, string>>, signal: AbortSignal): Promise<boolean> {
  try {
    for (const [key, value] of Object.entries(tags)) {
      if ((await host.metadata.readTag(key, signal)) !== value) return false;
    }
    return true;
  } catch (error) {
    signal.throwIfAborted();
    host.log.debug('tag not readable', { error: String(error) });
    return false;
  }
}
