/** What IAM is asked about ECS's clusters, container instances and services. */

import type { World } from '../../world/state.ts';
import type { Access, CallContext } from '../service.ts';

const nameOf = (cluster: string | undefined) => (cluster ?? 'default').replace(/^arn:[^/]*cluster\//, '');

/** Who acts on container instances is asked about each of them. */
export function containerInstanceAccess(world: World, cluster: string | undefined, ids: readonly string[]): Access[] {
  const context = { 'ecs:cluster': world.clusters.get(nameOf(cluster))?.arn ?? '' };
  const base = `arn:aws:ecs:${world.region}:${world.accountId}:container-instance/${nameOf(cluster)}`;
  return ids.map((id) => ({ resource: id.startsWith('arn:') ? id : `${base}/${id}`, context }));
}

/** Who looks at services or changes them is asked about each of them. */
export function serviceAccess(world: World, cluster: string | undefined, ids: readonly string[]): Access[] {
  const context = { 'ecs:cluster': world.clusters.get(nameOf(cluster))?.arn ?? '' };
  const base = `arn:aws:ecs:${world.region}:${world.accountId}:service/${nameOf(cluster)}`;
  return ids.map((id) => ({ resource: id.startsWith('arn:') ? id : `${base}/${id}`, context }));
}

export function clusterAccess(world: World, cluster: string | undefined): Access[] {
  const arn = world.clusters.get(nameOf(cluster))?.arn ?? '';
  return [{ resource: arn, context: { 'ecs:cluster': arn } }];
}

export const byCluster = ({ cluster }: { cluster: string | undefined }, { world }: CallContext): Access[] =>
  clusterAccess(world, cluster);
