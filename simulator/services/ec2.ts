/** EC2's API, as far as a container instance and its operator need it. */

import { Refusal } from '../refusal.ts';
import { flag, list, need, oneOf, record, text, whole } from '../wire/shapes.ts';
import { findInstance, startInstance, stopInstance, tagInstance, terminateInstance } from '../world/instances.ts';
import { arnOf, type Instance, type World } from '../world/state.ts';
import { denied, ec2Complaints, throttled } from './dialects.ts';
import { describeInstances, describeTags, stateOf } from './ec2-describe.ts';
import { describeInstanceStatus, describeSpotInstanceRequests } from './ec2-notices.ts';
import { operation, type Access, type CallContext, type Service } from './service.ts';

const ids = list(text(), { max: 1000 });
const dryRun = { DryRun: flag() };
const filters = list(record({ Name: need(text()), Value: list(text()) }));
const tags = list(record({ Key: text(), Value: text() }));

export const instanceArn = (world: World, id: string) => arnOf(world, 'ec2', `instance/${id}`);

/** Returns IAM's condition keys for an instance that the request acts on. */
export function instanceAccess(world: World, instanceId: string, more: Access['context'] = {}): Access {
  const instance = world.instances.get(instanceId);
  const context: NonNullable<Access['context']> = { 'ec2:InstanceID': instanceId, ...more };
  for (const [key, value] of instance?.tags ?? []) {
    context[`ec2:ResourceTag/${key}`] = value;
    context[`aws:ResourceTag/${key}`] = value;
  }
  return { resource: instanceArn(world, instanceId), context };
}

const onEach = ({ InstanceId = [] }: { InstanceId?: string[] | undefined }, { world }: CallContext): Access[] =>
  InstanceId.map((id) => instanceAccess(world, id));

const describe = {
  DescribeInstances: operation(
    { InstanceId: ids, Filter: filters, MaxResults: whole({ min: 5, max: 1000 }), NextToken: text(), ...dryRun },
    describeInstances,
  ),
  DescribeTags: operation(
    { Filter: filters, MaxResults: whole({ min: 5, max: 1000 }), NextToken: text(), ...dryRun },
    describeTags,
  ),
  DescribeInstanceStatus: operation(
    { InstanceId: ids, Filter: filters, IncludeAllInstances: flag(), ...dryRun },
    describeInstanceStatus,
  ),
  DescribeSpotInstanceRequests: operation(
    { SpotInstanceRequestId: ids, Filter: filters, ...dryRun },
    describeSpotInstanceRequests,
  ),
  DescribeInstanceAttribute: operation(
    { InstanceId: need(text()), Attribute: need(text()), ...dryRun },
    ({ InstanceId, Attribute }, { world }) => {
      const instance = findInstance(world, InstanceId);
      if (Attribute === 'disableApiTermination') {
        return { instanceId: instance.id, disableApiTermination: { value: instance.disableApiTermination } };
      }
      if (Attribute === 'instanceInitiatedShutdownBehavior') {
        return { instanceId: instance.id, instanceInitiatedShutdownBehavior: { value: instance.shutdownBehavior } };
      }
      if (Attribute === 'instanceType') return { instanceId: instance.id, instanceType: { value: instance.type } };
      if (Attribute === 'userData') {
        const value = instance.userData === undefined ? undefined : Buffer.from(instance.userData).toString('base64');
        return { instanceId: instance.id, userData: { value } };
      }
      throw new Refusal(
        'InvalidParameterValue',
        `Value (${Attribute}) for parameter attribute is invalid. Unknown attribute.`,
      );
    },
    ({ InstanceId, Attribute }, { world }) => [instanceAccess(world, InstanceId, { 'ec2:Attribute': Attribute })],
  ),
};

const tagging = {
  CreateTags: operation(
    { ResourceId: need(ids), Tag: need(tags), ...dryRun },
    ({ ResourceId, Tag }, { world }) => {
      const found = ResourceId.map((id) => findTaggable(world, id));
      const pairs = Tag.map(({ Key = '', Value = '' }) => ({ key: Key, value: Value }));
      for (const instance of found) tagInstance(instance, pairs);
      return { return: true };
    },
    ({ ResourceId, Tag }, { world }) =>
      ResourceId.map((id) =>
        instanceAccess(world, id, {
          'aws:TagKeys': Tag.map(({ Key = '' }) => Key),
          ...Object.fromEntries(Tag.map(({ Key = '', Value = '' }) => [`aws:RequestTag/${Key}`, Value])),
        }),
      ),
  ),
  DeleteTags: operation(
    { ResourceId: need(ids), Tag: tags, ...dryRun },
    ({ ResourceId, Tag }, { world }) => {
      for (const { tags: own } of ResourceId.map((id) => findTaggable(world, id))) {
        const keys =
          Tag ?? [...own.keys()].filter((key) => !key.startsWith('aws:')).map((Key) => ({ Key, Value: undefined }));
        for (const { Key = '', Value } of keys) {
          if (Key.startsWith('aws:')) {
            throw new Refusal('InvalidParameterValue', `Tag keys starting with 'aws:' are reserved for internal use`);
          }
          if (Value === undefined || own.get(Key) === Value) own.delete(Key);
        }
      }
      return { return: true };
    },
    ({ ResourceId, Tag }, { world }) =>
      ResourceId.map((id) => instanceAccess(world, id, Tag && { 'aws:TagKeys': Tag.map(({ Key = '' }) => Key) })),
  ),
};

function findTaggable(world: World, id: string): Instance {
  if (id.startsWith('i-')) return findInstance(world, id);
  throw new Refusal('InvalidID', `The ID '${id}' is not valid`);
}

const changes = {
  ModifyInstanceAttribute: operation(
    {
      InstanceId: need(text()),
      Attribute: text(),
      Value: text(),
      DisableApiTermination: record({ Value: flag() }),
      InstanceInitiatedShutdownBehavior: record({ Value: oneOf('stop', 'terminate') }),
      ...dryRun,
    },
    ({ InstanceId, Attribute, Value, DisableApiTermination, InstanceInitiatedShutdownBehavior }, { world }) => {
      const instance = findInstance(world, InstanceId);
      const protect =
        DisableApiTermination?.Value ?? (Attribute === 'disableApiTermination' ? Value === 'true' : undefined);
      const behavior = InstanceInitiatedShutdownBehavior?.Value;
      if (protect === undefined && behavior === undefined) {
        throw new Refusal('InvalidParameterCombination', 'No attributes specified.');
      }
      if (protect === true && instance.purchase === 'spot') {
        const message = `The attribute 'disableApiTermination' cannot be modified for the Spot Instance '${InstanceId}'.`;
        throw new Refusal('UnsupportedOperation', message);
      }
      if (protect !== undefined) instance.disableApiTermination = protect;
      if (behavior !== undefined) instance.shutdownBehavior = behavior;
      return { return: true };
    },
    ({ InstanceId, DisableApiTermination, Attribute }, { world }) => {
      const attribute = DisableApiTermination
        ? 'DisableApiTermination'
        : (Attribute ?? 'InstanceInitiatedShutdownBehavior');
      const value = DisableApiTermination?.Value;
      return [
        instanceAccess(world, InstanceId, {
          'ec2:Attribute': attribute,
          ...(value !== undefined && { [`ec2:Attribute/${attribute}`]: String(value) }),
        }),
      ];
    },
  ),
  TerminateInstances: operation(
    { InstanceId: need(ids), ...dryRun, Force: flag(), SkipOsShutdown: flag() },
    ({ InstanceId }, { world }) => {
      const before = InstanceId.map((id) => findInstance(world, id)).map((instance) => ({
        instance,
        was: instance.state,
      }));
      // EC2 terminates no instance of the request if one of them is protected.
      const guarded = before.find(({ instance }) => instance.disableApiTermination && instance.state !== 'terminated');
      const reason = 'Client.UserInitiatedShutdown: User initiated shutdown';
      for (const { instance } of guarded ? [guarded] : before) terminateInstance(world, instance, reason);
      return { instancesSet: before.map(changeOf) };
    },
    onEach,
  ),
  StopInstances: operation(
    { InstanceId: need(ids), Force: flag(), Hibernate: flag(), ...dryRun },
    ({ InstanceId }, { world }) => {
      const before = InstanceId.map((id) => findInstance(world, id)).map((instance) => ({
        instance,
        was: instance.state,
      }));
      for (const { instance } of before)
        stopInstance(world, instance, 'Client.UserInitiatedShutdown: User initiated shutdown');
      return { instancesSet: before.map(changeOf) };
    },
    onEach,
  ),
  StartInstances: operation(
    { InstanceId: need(ids), ...dryRun },
    ({ InstanceId }, { world }) => {
      const before = InstanceId.map((id) => findInstance(world, id)).map((instance) => ({
        instance,
        was: instance.state,
      }));
      for (const { instance } of before) startInstance(world, instance);
      return { instancesSet: before.map(changeOf) };
    },
    onEach,
  ),
};

const changeOf = ({ instance, was }: { instance: Instance; was: Instance['state'] }) => ({
  instanceId: instance.id,
  currentState: stateOf(instance.state),
  previousState: stateOf(was),
});

export const ec2: Service = {
  id: 'ec2',
  signingName: 'ec2',
  iam: 'ec2',
  protocol: 'ec2',
  version: '2016-11-15',
  namespace: 'http://ec2.amazonaws.com/doc/2016-11-15/',
  complain: ec2Complaints,
  throttle: throttled('RequestLimitExceeded', 503),
  deny: denied('UnauthorizedOperation', 403),
  operations: { ...describe, ...tagging, ...changes },
};
