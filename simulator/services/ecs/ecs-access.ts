/** The resources and condition keys by which IAM decides about calls to ECS. */

import type { World } from '../../world/state.ts';
import type { Access, CallContext } from '../service.ts';

const nameOf = (cluster: string | undefined) => (cluster ?? 'default').replace(/^arn:[^/]*cluster\//, '');

/** IAM decides about each container instance that the request acts on. */
export function containerInstanceAccess(world: World, cluster: string | undefined, ids: readonly string[]): Access[] {
  const context = { 'ecs:cluster': world.clusters.get(nameOf(cluster))?.arn ?? '' };
  const base = `arn:aws:ecs:${world.region}:${world.accountId}:container-instance/${nameOf(cluster)}`;
  return ids.map((id) => ({ resource: id.startsWith('arn:') ? id : `${base}/${id}`, context }));
}

/** IAM decides about each service that the request reads or changes. */
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
