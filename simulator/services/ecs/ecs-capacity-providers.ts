/** ECS's operations on capacity providers. */

import { Refusal } from '../../refusal.ts';
import { list, need, oneOf, record, text, whole } from '../../wire/shapes.ts';
import { createCapacityProvider } from '../../world/capacity-providers.ts';
import { findCluster } from '../../world/clusters.ts';
import type { CapacityProvider, World } from '../../world/state.ts';
import { takePage } from '../pages.ts';
import { operation, type Access } from '../service.ts';
import { byCluster } from './ecs-access.ts';
import { renderCluster } from './ecs-form.ts';

const nameOf = (nameOrArn: string) => nameOrArn.split('/').at(-1)!;

const accessTo = (world: World, names: readonly string[]): Access[] =>
  names.map((each) => ({
    resource: `arn:aws:ecs:${world.region}:${world.accountId}:capacity-provider/${nameOf(each)}`,
  }));

const strategy = list(
  record({ capacityProvider: need(text()), weight: whole({ min: 0, max: 1000 }), base: whole({ min: 0 }) }),
);

export const capacityProviders = {
  CreateCapacityProvider: operation(
    {
      name: need(text()),
      autoScalingGroupProvider: need(
        record({
          autoScalingGroupArn: need(text()),
          managedScaling: record({ status: oneOf('ENABLED', 'DISABLED') }),
          managedDraining: oneOf('ENABLED', 'DISABLED'),
          managedTerminationProtection: oneOf('ENABLED', 'DISABLED'),
        }),
      ),
    },
    ({ name, autoScalingGroupProvider: { autoScalingGroupArn } }, { world }) => ({
      capacityProvider: render(createCapacityProvider(world, name, autoScalingGroupArn)),
    }),
    ({ name }, { world }) => accessTo(world, [name]),
  ),
  PutClusterCapacityProviders: operation(
    {
      cluster: need(text()),
      capacityProviders: need(list(text(), { max: 20 })),
      defaultCapacityProviderStrategy: need(strategy),
    },
    (input, { world }) => {
      const cluster = findCluster(world, input.cluster);
      const names = input.capacityProviders.map(nameOf);
      if (names.some((name) => !name.startsWith('FARGATE') && !world.capacityProviders.has(name))) {
        throw new Refusal('InvalidParameterException', 'The specified capacity provider was not found.');
      }
      cluster.capacityProviders.splice(0, Infinity, ...names);
      return { cluster: renderCluster(cluster) };
    },
    byCluster,
  ),
  DescribeCapacityProviders: operation(
    {
      capacityProviders: list(text(), { max: 100 }),
      cluster: text(),
      include: list(oneOf('TAGS')),
      maxResults: whole({ min: 1, max: 10 }),
      nextToken: text(),
    },
    (input, { world }) => {
      const names = input.capacityProviders?.map(nameOf) ?? [...world.capacityProviders.keys()];
      const ofCluster = input.cluster === undefined ? names : findCluster(world, input.cluster).capacityProviders;
      const asked = names.filter((name) => ofCluster.includes(name));
      const found = asked.flatMap((name) => world.capacityProviders.get(name) ?? []);
      const badToken = () => new Refusal('InvalidParameterException', 'Invalid token');
      const { page, next } = takePage(found, input.maxResults ?? 10, input.nextToken, badToken);
      const missing = asked.filter((name) => !world.capacityProviders.has(name));
      return {
        capacityProviders: page.map(render),
        failures: missing.map((arn) => ({ arn, reason: 'MISSING' })),
        nextToken: next,
      };
    },
    ({ capacityProviders: names = ['*'] }, { world }) => accessTo(world, names),
  ),
};

function render({ name, arn, group }: CapacityProvider): object {
  return {
    capacityProviderArn: arn,
    name,
    status: 'ACTIVE',
    autoScalingGroupProvider: {
      autoScalingGroupArn: group,
      managedScaling: { status: 'DISABLED' },
      managedDraining: 'DISABLED',
      managedTerminationProtection: 'DISABLED',
    },
    tags: [],
  };
}
