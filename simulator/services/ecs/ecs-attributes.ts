/** ECS's attributes of container instances. */

import { Refusal } from '../../refusal.ts';
import { list, need, oneOf, record, text, whole } from '../../wire/shapes.ts';
import { findCluster, findContainerInstance } from '../../world/clusters.ts';
import type { Cluster, ContainerInstance } from '../../world/state.ts';
import { byCluster, containerInstanceAccess } from './ecs-access.ts';
import { takePage } from '../pages.ts';
import { operation, type Access, type CallContext } from '../service.ts';

const namePattern = /^[\w./-]{1,128}$/;

const attribute = record({
  name: need(text({ pattern: namePattern })),
  value: text({ min: 1, max: 128 }),
  targetType: oneOf('container-instance'),
  targetId: text(),
});

/** The agent's built-in attributes; only the agent changes them. */
const isReserved = (name: string) => name.startsWith('ecs.') || name.startsWith('com.amazonaws.');

interface Given {
  name: string;
  value: string | undefined;
  targetId: string | undefined;
}

const onTargets = (
  { cluster, attributes: given }: { cluster: string | undefined; attributes: Given[] },
  { world }: CallContext,
): Access[] =>
  containerInstanceAccess(
    world,
    cluster,
    given.flatMap(({ targetId }) => targetId ?? []),
  );

export const attributes = {
  ListAttributes: operation(
    {
      cluster: text(),
      targetType: need(oneOf('container-instance')),
      attributeName: text(),
      attributeValue: text(),
      maxResults: whole({ min: 1, max: 100 }),
      nextToken: text(),
    },
    ({ cluster, attributeName, attributeValue, maxResults, nextToken, targetType }, { world }) => {
      const found = [...findCluster(world, cluster).containerInstances.values()].flatMap(({ arn, attributes: own }) =>
        [...own]
          .filter(([name]) => attributeName === undefined || name === attributeName)
          .filter(([, value]) => attributeValue === undefined || value === attributeValue)
          .map(([name, value]) => ({ name, value, targetType, targetId: arn })),
      );
      const badToken = () => new Refusal('InvalidParameterException', 'Invalid token');
      const { page, next } = takePage(found, maxResults ?? 100, nextToken, badToken);
      return { attributes: page, nextToken: next };
    },
    byCluster,
  ),
  PutAttributes: operation(
    { cluster: text(), attributes: need(list(attribute, { min: 1, max: 10 })) },
    ({ cluster, attributes: given }, { world }) => {
      const changes = given.map((each) => ({ each, target: findTarget(findCluster(world, cluster), each) }));
      for (const { each, target } of changes) target.attributes.set(each.name, each.value);
      return { attributes: changes.map(render) };
    },
    onTargets,
  ),
  DeleteAttributes: operation(
    { cluster: text(), attributes: need(list(attribute, { min: 1, max: 10 })) },
    ({ cluster, attributes: given }, { world }) => {
      const changes = given.map((each) => ({ each, target: findTarget(findCluster(world, cluster), each) }));
      for (const { each, target } of changes) target.attributes.delete(each.name);
      return { attributes: changes.map(render) };
    },
    onTargets,
  ),
};

const render = ({ each, target }: { each: Given; target: ContainerInstance }) => ({
  name: each.name,
  value: each.value,
  targetType: 'container-instance',
  targetId: target.arn,
});

function findTarget(cluster: Cluster, { name, targetId }: Given): ContainerInstance {
  if (isReserved(name)) {
    throw new Refusal('InvalidParameterException', `Attribute name ${name} is reserved for internal use.`);
  }
  if (targetId === undefined) throw new Refusal('InvalidParameterException', 'Attribute targetId cannot be empty.');
  const target = findContainerInstance(cluster, targetId);
  if (!target) throw new Refusal('TargetNotFoundException', `Unable to find target with ID: ${targetId}`);
  return target;
}
