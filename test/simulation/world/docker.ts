/** Docker dies, while its ECS agent stays connected and tells ECS, or does not. */

import { begin, finish } from '../faults/causes.ts';
import { ownInstance, type Node } from './node.ts';
import { count, note, type Region } from './region.ts';

/**
 * If ECS does not know, only this node reports that its Docker is dead. One source is not enough,
 * so the node must stay.
 */
export function breakDocker(region: Region, node: Node): void {
  const { chance, clock, stats, scenario } = region;
  const own = ownInstance(region, node);
  if (own === undefined || node.dockerCure !== undefined) return;
  const cure = chance.pick(['restart', 'restart', 'time', 'never'] as const);
  const isTold = chance.happens(0.6);
  node.dockerCure = cure;
  node.docker.state = 'dead';
  count(stats.faults, `Docker dead, ${isTold ? 'and ECS knows' : 'unknown to ECS'}`);
  note(region, node, `Docker dies (${isTold ? 'ECS knows' : 'ECS does not know'}), cure: ${cure}`);
  if (isTold) {
    own.runtimeHealth = 'IMPAIRED';
    // The same number of good checks ends the cause. A fault that returns before that was never
    // over.
    begin(node, 'docker', clock.uptime(), 3 * scenario.config.docker.pollSeconds * 1000 + 60_000);
  }
  if (cure === 'time') clock.schedule(chance.around(chance.pick([60_000, 600_000])), () => healDocker(region, node));
}

export function healDocker(region: Region, node: Node): void {
  if (node.dockerCure === undefined) return;
  node.dockerCure = undefined;
  node.docker.state = 'well';
  const own = ownInstance(region, node);
  if (own !== undefined) own.runtimeHealth = 'OK';
  finish(node, 'docker', region.clock.uptime());
  note(region, node, 'Docker answers again');
}

/** Plays `systemctl restart docker`, or a boot. */
export function restartDocker(region: Region, node: Node): void {
  if (node.dockerCure === 'restart' && region.chance.happens(0.7)) healDocker(region, node);
}
