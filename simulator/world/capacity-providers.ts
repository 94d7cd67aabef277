/** ECS capacity providers: each has one Auto Scaling group. */

import { Refusal } from '../refusal.ts';
import { arnOf, type CapacityProvider, type Cluster, type Instance, type World } from './state.ts';

export function createCapacityProvider(world: World, name: string, group: string): CapacityProvider {
  if (/^(aws|ecs|fargate)/i.test(name)) {
    throw new Refusal('ClientException', 'The specified capacity provider name is invalid.');
  }
  const provider = { name, arn: arnOf(world, 'ecs', `capacity-provider/${name}`), group };
  world.capacityProviders.set(name, provider);
  return provider;
}

/** ECS looks only when an instance registers. */
export function providerOf(world: World, { capacityProviders }: Cluster, instance: Instance): string | undefined {
  const group = world.groups.get(instance.tags.get('aws:autoscaling:groupName') ?? '');
  return capacityProviders.find(
    (name) => group !== undefined && world.capacityProviders.get(name)?.group === group.arn,
  );
}
