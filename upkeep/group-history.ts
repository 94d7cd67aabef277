/** Reads the launches and terminations of this node's Auto Scaling group. */

import { Unavailable } from '../core/errors.ts';
import type { ScalingActivity } from '../core/host.ts';

/**
 * The activities since that time. An empty answer is asked again for the whole history, which holds
 * at least one launch. Taken for a quiet group, one lost answer would end nodes during a storm.
 */
export async function readHistory(
  since: number,
  read: (since: number) => Promise<ScalingActivity[]>,
): Promise<ScalingActivity[]> {
  const activities = await read(since);
  if (activities.length > 0) return activities;
  const all = await read(0);
  if (all.length === 0) throw new Unavailable("the group's history is empty: not even a launch is listed");
  return all.filter(({ at }) => at >= since);
}
