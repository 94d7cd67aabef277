/** A node outside its group's capacity provider, whose ECS agent starts and stops with its unit. */

import { paths } from '../../../../core/state/state.ts';
import { groupTag } from '../../../../upkeep/group-tag.ts';
import { configOf, setStage, type Stage } from '../stage.ts';

export const agentDb = `${paths.ecsData}/agent.db`;

export function outside(prepare: (stage: Stage) => void = () => {}): Stage {
  const stage = setStage(configOf());
  putOutside(stage);
  prepare(stage);
  return stage;
}

export function putOutside(stage: Stage): void {
  const { world } = stage;
  world.metadata.tags = { [groupTag]: 'web' };
  world.cluster.capacityProviders.set('nodes', 'web');
  world.machine.files.set(agentDb, stage.own.arn);
  let stops = 0;
  const poll = () => {
    const { stopped } = world.machine;
    playEcs(stage, stopped.length > stops);
    stops = stopped.length;
    world.clock.schedule(1_000, poll);
  };
  poll();
}

/** Plays systemd and the ECS agent, which registers by its checkpoint, or anew without one. */
function playEcs({ world }: Stage, hasStopped: boolean): void {
  const { cluster, machine, identity } = world;
  const isUp = machine.units.get('ecs.service') !== 'inactive';
  const arn = world.localAgent?.containerInstanceArn;
  if (!isUp || hasStopped) {
    for (const each of cluster.instances) if (each.arn === arn) each.agentConnected = false;
    world.localAgent = undefined;
  }
  if (!isUp || world.localAgent !== undefined) return;
  const known = cluster.instances.find((each) => each.arn === machine.files.get(agentDb));
  if (known?.status === 'INACTIVE') return;
  const inside = cluster.capacityProviders.has('nodes') ? { capacityProvider: 'nodes' } : {};
  const own = known ?? cluster.addInstance({ ec2InstanceId: identity.instanceId, ...inside });
  own.agentConnected = true;
  machine.files.set(agentDb, own.arn);
  world.localAgent = { cluster: cluster.name, containerInstanceArn: own.arn, version: '1.106.1' };
}
