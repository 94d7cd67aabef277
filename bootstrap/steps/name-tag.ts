/** Gives the instance its Name, so that people find it in the console, and with the same call the version that looks after it. */

import type { Config } from '../../core/config.ts';
import { Unavailable, isDenied, messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { retry } from '../../core/patience.ts';
import { paths, renderState } from '../../core/state.ts';
import { version as ownVersion } from '../../core/version.ts';
import { renderNameTag } from '../naming.ts';
import type { Outcome, Step, Trail } from '../step.ts';
import { patience } from '../waiting.ts';

export const nameTag: Step = {
  name: 'name-tag',
  run: (host, config, trail, signal) => tagName(host, config, trail, signal),
};

/** As `ecs-node fleet` reads it. */
const versionTag = 'ecs-node:version';

/** Of thousands that are launched at once each would wait for EC2, which takes ten such calls per second: the agent goes on. */
const briefMs = 5_000;

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
  const outcome = (await hasTags(host, tags, signal)) ? 'unchanged' : await setTags(host, tags, trail, signal);
  // What an earlier attempt has left to the agent may be another name.
  if (outcome !== 'skipped') await host.machine.remove(paths.lateTags);
  return outcome;
}

async function setTags(host: Host, tags: Record<string, string>, trail: Trail, signal: AbortSignal): Promise<Outcome> {
  const { instanceId } = host.identity;
  try {
    const brief = { ...patience(host, trail, signal), withinMs: Math.min(briefMs, trail.leftMs()) };
    await retry((inner) => host.cloud.tagSelf(tags, inner), brief);
    return 'changed';
  } catch (error) {
    // A name is for people; a node without one works.
    if (error instanceof Unavailable && !signal.aborted) {
      await host.machine.writeText(paths.lateTags, renderState({ instanceId, tags }));
    } else if (!isDenied(error)) throw error;
    host.log.warn('Name tag not set', { error: messageOf(error) });
    return 'skipped';
  }
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
