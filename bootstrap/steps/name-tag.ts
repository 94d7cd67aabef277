/** Gives the instance its Name, so that people find it in the console. */

import type { Config } from '../../core/config.ts';
import { isDenied, messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { renderNameTag } from '../naming.ts';
import type { Outcome, Step, Trail } from '../step.ts';
import { ask } from '../waiting.ts';

export const nameTag: Step = {
  name: 'name-tag',
  run: tagName,
};

/** Also for a registrar that had to change the host name. */
export async function tagName(host: Host, config: Config, trail: Trail, signal: AbortSignal): Promise<Outcome> {
  if (config.name === '') return 'skipped';
  const name = await renderNameTag(trail.hostname ?? host.identity.hostname, host, config, trail, signal);
  // The metadata service costs no AWS call; where it does not show tags, writing twice does no harm.
  const before = await host.metadata.readTag('Name', signal).catch((error: unknown) => {
    signal.throwIfAborted();
    host.log.debug('tag not readable', { error: String(error) });
    return undefined;
  });
  if (before === name) return 'unchanged';
  try {
    await ask(host, trail, signal, (inner) => host.cloud.tagSelf({ Name: name }, inner));
  } catch (error) {
    // A name is for people; a node without one works.
    if (!isDenied(error)) throw error;
    host.log.warn('Name tag not set', { error: messageOf(error) });
    return 'skipped';
  }
  return 'changed';
}
