/** OpsWorks' permissions, tried on layers and instances that do not exist. */

import {
  AssignInstanceCommand,
  DeregisterInstanceCommand,
  DescribeInstancesCommand,
  DescribeLayersCommand,
  DescribeStackProvisioningParametersCommand,
  DescribeStacksCommand,
  GetHostnameSuggestionCommand,
  OpsWorksClient,
  UnassignInstanceCommand,
} from '@aws-sdk/client-opsworks';
import { parseOpsWorksId } from '../../../core/opsworks-id.ts';
import { nobody, type OpenProbes } from './subject.ts';

const InstanceId = nobody.uuid;

export const openOpsWorksProbes: OpenProbes = ({ identity, ask, settings }, { stack, opsworksRegion }) => {
  const client = new OpsWorksClient(settings('OPSWORKS', opsworksRegion ?? identity.region));
  const id = parseOpsWorksId(stack);
  // Permissions may be limited to the stack, so it is the stack that they are tried on where its id is known.
  const StackId = id ?? nobody.uuid;
  const on = `stack ${stack ?? ''}`;
  return {
    'opsworks:DescribeStacks': (signal) =>
      ask('opsworks:DescribeStacks', on, signal, (options) =>
        client.send(new DescribeStacksCommand(id === undefined ? {} : { StackIds: [id] }), options),
      ),
    'opsworks:DescribeLayers': (signal) =>
      ask('opsworks:DescribeLayers', on, signal, (options) =>
        client.send(new DescribeLayersCommand({ StackId }), options),
      ),
    'opsworks:DescribeStackProvisioningParameters': (signal) =>
      ask('opsworks:DescribeStackProvisioningParameters', on, signal, (options) =>
        client.send(new DescribeStackProvisioningParametersCommand({ StackId }), options),
      ),
    'opsworks:GetHostnameSuggestion': (signal) =>
      ask('opsworks:GetHostnameSuggestion', on, signal, (options) =>
        client.send(new GetHostnameSuggestionCommand({ LayerId: nobody.uuid }), options),
      ),
    'opsworks:DescribeInstances': (signal) =>
      ask('opsworks:DescribeInstances', on, signal, (options) =>
        client.send(new DescribeInstancesCommand({ InstanceIds: [InstanceId] }), options),
      ),
    'opsworks:AssignInstance': (signal) =>
      ask('opsworks:AssignInstance', on, signal, (options) =>
        client.send(new AssignInstanceCommand({ InstanceId, LayerIds: [nobody.uuid] }), options),
      ),
    'opsworks:UnassignInstance': (signal) =>
      ask('opsworks:UnassignInstance', on, signal, (options) =>
        client.send(new UnassignInstanceCommand({ InstanceId }), options),
      ),
    'opsworks:DeregisterInstance': (signal) =>
      ask('opsworks:DeregisterInstance', on, signal, (options) =>
        client.send(new DeregisterInstanceCommand({ InstanceId }), options),
      ),
  };
};
