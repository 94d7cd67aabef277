/** Sets the tags that EC2 did not accept during the bootstrap: no node waits for its name. */

import type { Host } from '../../core/host.ts';
import { jitter } from '../../core/retry.ts';
import { readState } from '../../core/state/read-state.ts';
import { paths, type InstanceTags } from '../../core/state/state.ts';
import { isInstanceTags } from '../../core/state/state-shape.ts';
import { callOnce, retryUntilDone } from '../calls.ts';

/**
 * EC2 accepts ten such calls a second: of a thousand nodes launched together, the last one waits
 * two minutes.
 */
const firstPauseMs = 60_000;

/** A person will look for the name eventually. */
const longestPauseMs = 600_000;

/**
 * After a refusal, a person has to fix something (a permission, a tag policy, too many tags), which
 * takes hours.
 */
const refusedPauseMs = 3_600_000;

/** Retries until the tags are set or the signal aborts. */
export async function setLateTags(host: Host, signal: AbortSignal): Promise<void> {
  const late = await readState<InstanceTags>(host, paths.lateTags, isInstanceTags).catch(() => undefined);
  if (late === undefined) return;
  await host.clock.sleep(jitter(firstPauseMs), signal);
  const set = async () => {
    await callOnce(host, signal, (callSignal) => host.cloud.tagSelf(late.tags, callSignal));
    await host.machine.remove(paths.lateTags);
    host.log.info('late tags set', { tags: late.tags });
  };
  const pauses = { pauseMs: 2 * firstPauseMs, maxPauseMs: longestPauseMs, refusedPauseMs };
  await retryUntilDone(host, 'late tags not set', pauses, signal, set);
}
