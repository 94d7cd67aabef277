/** The load balancers' permissions, tried with an instance that does not exist. */

import {
  DeregisterInstancesFromLoadBalancerCommand,
  DescribeInstanceHealthCommand,
  ElasticLoadBalancingClient,
} from '@aws-sdk/client-elastic-load-balancing';
import {
  DeregisterTargetsCommand,
  DescribeTargetHealthCommand,
  ElasticLoadBalancingV2Client,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import type { Session } from '../session/session.ts';
import { absent, type OpenProbes } from './subject.ts';

export const openBalancerProbes: OpenProbes = (session, { targetGroups, loadBalancers }) => ({
  'elasticloadbalancing:DeregisterTargets': (signal) => deregisterTargets(session, targetGroups, signal),
  'elasticloadbalancing:DescribeTargetHealth': (signal) => describeTargets(session, targetGroups, signal),
  'elasticloadbalancing:DeregisterInstancesFromLoadBalancer': (signal) =>
    deregisterInstances(session, loadBalancers, signal),
  'elasticloadbalancing:DescribeInstanceHealth': (signal) => describeInstances(session, loadBalancers, signal),
});

async function deregisterTargets({ callAws, settings }: Session, arns: readonly string[], signal: AbortSignal) {
  const client = new ElasticLoadBalancingV2Client(settings('ELASTIC_LOAD_BALANCING_V2'));
  for (const TargetGroupArn of arns) {
    const input = { TargetGroupArn, Targets: [{ Id: absent.instance }] };
    await callAws('elasticloadbalancing:DeregisterTargets', TargetGroupArn, signal, (options) =>
      client.send(new DeregisterTargetsCommand(input), options),
    );
  }
}

async function describeTargets({ callAws, settings }: Session, arns: readonly string[], signal: AbortSignal) {
  const client = new ElasticLoadBalancingV2Client(settings('ELASTIC_LOAD_BALANCING_V2'));
  for (const TargetGroupArn of arns) {
    await callAws('elasticloadbalancing:DescribeTargetHealth', '*', signal, (options) =>
      client.send(new DescribeTargetHealthCommand({ TargetGroupArn }), options),
    );
  }
}

async function deregisterInstances({ callAws, settings }: Session, names: readonly string[], signal: AbortSignal) {
  const client = new ElasticLoadBalancingClient(settings('ELASTIC_LOAD_BALANCING'));
  for (const LoadBalancerName of names) {
    const input = { LoadBalancerName, Instances: [{ InstanceId: absent.instance }] };
    await callAws('elasticloadbalancing:DeregisterInstancesFromLoadBalancer', LoadBalancerName, signal, (options) =>
      client.send(new DeregisterInstancesFromLoadBalancerCommand(input), options),
    );
  }
}

async function describeInstances({ callAws, settings }: Session, names: readonly string[], signal: AbortSignal) {
  const client = new ElasticLoadBalancingClient(settings('ELASTIC_LOAD_BALANCING'));
  for (const LoadBalancerName of names) {
    await callAws('elasticloadbalancing:DescribeInstanceHealth', '*', signal, (options) =>
      client.send(new DescribeInstanceHealthCommand({ LoadBalancerName }), options),
    );
  }
}
