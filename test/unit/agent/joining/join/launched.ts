/** A node that joins. */

import { join } from '../../../../../agent/joining/join.ts';
import { configOf, never, setStage } from '../../stage.ts';

export const minute = 60_000;
export const hour = 60 * minute;

/** A node that Auto Scaling has just launched; its ECS agent registers after `afterMs`. */
export function launched(config = configOf(), afterMs = 30_000) {
  const stage = setStage(config);
  stage.group.begin('launch');
  stage.own.status = 'REGISTERING';
  stage.own.agentConnected = false;
  const local = stage.world.localAgent;
  stage.world.localAgent = undefined;
  stage.world.clock.schedule(afterMs, () => {
    stage.world.localAgent = local;
    Object.assign(stage.own, { status: 'ACTIVE', agentConnected: true });
  });
  const reported: string[] = [];
  const joins = (signal = never) =>
    join(stage.host, stage.config, (state, detail) => void reported.push(`${state}: ${detail}`), signal);
  return { ...stage, told: reported, joins, finish: () => stage.world.clock.finish(joins(), 3 * 3_600_000) };
}
