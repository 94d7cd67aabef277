/** Sets the tags that EC2 had no time for while the node bootstrapped: nobody waits for a name. */

import { Refused, messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { spread } from '../core/patience.ts';
import { parseState, paths, type LateTags } from '../core/state.ts';
import { isLateTags } from '../core/state-shape.ts';
import { askOnce } from './asking.ts';

/** EC2 takes ten such calls per second: of a thousand nodes that were launched at once the last waits two minutes. */
const firstPauseMs = 60_000;

/** A person looks for the name some time. */
const longestPauseMs = 600_000;

/** Until they are set, or refused, or the signal aborts. */
export async function setLateTags(host: Host, signal: AbortSignal): Promise<void> {
  const text = await host.machine.readText(paths.lateTags).catch(() => undefined);
  const late = parseState<LateTags>(text, host.identity.instanceId, isLateTags);
  if (late === undefined) return;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    await host.clock.sleep(spread(pauseMs), signal);
    try {
      await askOnce(host, signal, (inner) => host.cloud.tagSelf(late.tags, inner));
      await host.machine.remove(paths.lateTags);
      host.log.info('late tags set', { tags: late.tags });
      return;
    } catch (error) {
      signal.throwIfAborted();
      host.log.warn('late tags not set', { error: messageOf(error) });
      if (error instanceof Refused) return;
    }
  }
}
