/** A node in service with its agent. */

import { paths, renderState, type OperatorRequest } from '../../../../core/state/state.ts';
import { configOf, setStage } from '../stage.ts';

export const minute = 60_000;
export const hour = 60 * minute;

/** A node that is in service and whose agent runs. */
export async function inService(config = configOf(), world: (stage: ReturnType<typeof setStage>) => void = () => {}) {
  const stage = setStage(config);
  world(stage);
  const agent = stage.agent();
  await stage.world.clock.run(minute);
  stage.world.calls.list.length = 0;
  return { stage, agent, run: (ms: number) => stage.world.clock.run(ms) };
}

export const spotAt = (at: number, action: 'terminate' | 'stop' | 'hibernate' = 'terminate') => ({ action, at });
let asked = 0;

export const ask = (stage: ReturnType<typeof setStage>, action: OperatorRequest['action'], terminate = true) => {
  const { instanceId } = stage.world.identity;
  const reason = 'maintenance of the rack';
  const request: OperatorRequest = { instanceId, id: `request-${++asked}`, action, reason, terminate, at: 0 };
  stage.world.machine.files.set(paths.request, renderState(request));
};
