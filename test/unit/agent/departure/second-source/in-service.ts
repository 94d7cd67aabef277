/** A node in service, and what may harm it. */

import { Refused, Unavailable } from '../../../../../core/errors.ts';
import { someBalancer } from '../../../../fakes/cloud/balancers.ts';
import type { World } from '../../../../fakes/host.ts';
import { configOf, setStage, type Stage } from '../../stage.ts';

export const minute = 60_000;
export const hour = 60 * minute;
export const targetGroup = 'arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef';
export const denied = new Refused('not authorized', { code: 'AccessDenied' });
export const deadly = ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff', 'completeHook'];
const undoable = ['drain', 'activate', 'queueToLeave', 'unqueue'];

/**
 * In service with load balancers, a leaving hook, and a drain so short that tasks would be stopped
 * at once.
 */
export async function inService(more: Record<string, unknown> = {}, prepare: (stage: Stage) => void = () => {}) {
  const leave = { targetGroups: [targetGroup], drainSeconds: 10, ...(more['leave'] as object) };
  const stage = setStage(configOf({ ...more, leave }));
  stage.world.balancers.targetGroups.set(targetGroup, someBalancer(1_000));
  const hooks: string[] = [];
  for (const occasion of ['leaving', 'left']) {
    const path = `/etc/ecs-node/hooks.d/${occasion}/10-tell`;
    stage.world.machine.files.set(path, '#!/bin/sh\n');
    stage.world.machine.programs.set(path, async () => {
      hooks.push(occasion);
      return { code: 0, tail: '' };
    });
  }
  prepare(stage);
  const agent = stage.agent();
  const run = (ms: number) => stage.world.clock.run(ms);
  await run(minute);
  stage.world.calls.list.length = 0;
  /** The actions on the node that ACTIVE does not undo, or has not undone. */
  const harm = () => [
    ...(stage.world.instance.state === 'running' ? [] : ['ended']),
    ...(stage.own.status === 'ACTIVE' ? [] : [stage.own.status]),
    ...stage.deeds().filter((deed) => !undoable.includes(deed)),
    ...hooks,
  ];
  return { stage, world: stage.world, agent, run, hooks, harm };
}

/** From the node's departure from its registrar on, Auto Scaling does not answer. */
export function silencesItsGroupAtTheEnd({ calls }: World): void {
  calls.onCall = ({ verb }) => {
    if (verb !== 'close') return;
    calls.onCall = undefined;
    calls.fails('readMembership', new Unavailable('Rate exceeded'));
  };
}

export const busy = ({ world, own }: Stage) =>
  void world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
