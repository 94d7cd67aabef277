/** OpsWorks's permissions, tested on layers and instances that do not exist. */

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
import { parseOpsWorksId } from '../../../core/opsworks/opsworks-id.ts';
import { absent, type OpenProbes } from '../examine/subject.ts';

const InstanceId = absent.uuid;

export const openOpsWorksProbes: OpenProbes = ({ identity, callAws, settings }, { stack, opsworksRegion }) => {
  const client = new OpsWorksClient(settings('OPSWORKS', opsworksRegion ?? identity.region));
  const id = parseOpsWorksId(stack);
  // Permissions may be limited to the stack. They are tested on the stack if its id is known.
  const StackId = id ?? absent.uuid;
  const on = `stack ${stack ?? ''}`;
  return {
    'opsworks:DescribeStacks': (signal) =>
      callAws('opsworks:DescribeStacks', on, signal, (options) =>
        client.send(new DescribeStacksCommand(id === undefined ? {} : { StackIds: [id] }), options),
      ),
    'opsworks:DescribeLayers': (signal) =>
      callAws('opsworks:DescribeLayers', on, signal, (options) =>
        client.send(new DescribeLayersCommand({ StackId }), options),
      ),
    'opsworks:DescribeStackProvisioningParameters': (signal) =>
      callAws('opsworks:DescribeStackProvisioningParameters', on, signal, (options) =>
        client.send(new DescribeStackProvisioningParametersCommand({ StackId }), options),
      ),
    'opsworks:GetHostnameSuggestion': (signal) =>
      callAws('opsworks:GetHostnameSuggestion', on, signal, (options) =>
        client.send(new GetHostnameSuggestionCommand({ LayerId: absent.uuid }), options),
      ),
    'opsworks:DescribeInstances': (signal) =>
      callAws('opsworks:DescribeInstances', on, signal, (options) =>
        client.send(new DescribeInstancesCommand({ InstanceIds: [InstanceId] }), options),
      ),
    'opsworks:AssignInstance': (signal) =>
      callAws('opsworks:AssignInstance', on, signal, (options) =>
        client.send(new AssignInstanceCommand({ InstanceId, LayerIds: [absent.uuid] }), options),
      ),
    'opsworks:UnassignInstance': (signal) =>
      callAws('opsworks:UnassignInstance', on, signal, (options) =>
        client.send(new UnassignInstanceCommand({ InstanceId }), options),
      ),
    'opsworks:DeregisterInstance': (signal) =>
      callAws('opsworks:DeregisterInstance', on, signal, (options) =>
        client.send(new DeregisterInstanceCommand({ InstanceId }), options),
      ),
  };
};
