/** The two load balancing APIs: target groups and classic load balancers. */

import { Refusal } from '../refusal.ts';
import { list, need, record, text, whole } from '../wire/shapes.ts';
import {
  deregisterFromBalancer,
  deregisterTarget,
  findLoadBalancer,
  findTargetGroup,
  registerTarget,
} from '../world/balancers.ts';
import type { TargetGroup, World } from '../world/state.ts';
import { denied, throttled, validationComplaints } from './dialects.ts';
import { takePage } from './pages.ts';
import { operation, type Access, type CallContext, type Service } from './service.ts';

const targets = list(record({ Id: need(text()), Port: whole({ min: 1, max: 65535 }), AvailabilityZone: text() }));

const byArn = ({ TargetGroupArn }: { TargetGroupArn: string }): Access[] => [{ resource: TargetGroupArn }];

interface Wanted {
  Id: string;
  Port: number | undefined;
}

const targetGroups = {
  RegisterTargets: operation(
    { TargetGroupArn: need(text()), Targets: need(targets) },
    ({ TargetGroupArn, Targets }, { world }) => {
      const group = findTargetGroup(world, TargetGroupArn);
      for (const { Id, Port } of Targets) registerTarget(world, group, Id, Port);
      return {};
    },
    byArn,
  ),
  DeregisterTargets: operation(
    { TargetGroupArn: need(text()), Targets: need(targets) },
    ({ TargetGroupArn, Targets }, { world }) => {
      const group = findTargetGroup(world, TargetGroupArn);
      for (const { Id, Port } of Targets) deregisterTarget(world, group, Id, Port);
      return {};
    },
    byArn,
  ),
  DescribeTargetHealth: operation(
    { TargetGroupArn: need(text()), Targets: targets, Include: list(text()) },
    ({ TargetGroupArn, Targets }, { world }) => {
      const group = findTargetGroup(world, TargetGroupArn);
      const all = [...group.targets.values()].map(({ id, port }) => ({ Id: id, Port: port }));
      return { TargetHealthDescriptions: (Targets ?? all).map((target) => renderHealth(group, target)) };
    },
  ),
  DescribeTargetGroups: operation(
    {
      TargetGroupArns: list(text()),
      Names: list(text()),
      LoadBalancerArn: text(),
      PageSize: whole({ min: 1, max: 400 }),
      Marker: text(),
    },
    ({ TargetGroupArns, Names, PageSize = 400, Marker }, { world }) => {
      const chosen = TargetGroupArns
        ? TargetGroupArns.map((arn) => findTargetGroup(world, arn))
        : [...world.targetGroups.values()].filter(({ name }) => !Names || Names.includes(name));
      if (Names && chosen.length < Names.length) {
        throw new Refusal('TargetGroupNotFound', 'One or more target groups not found');
      }
      const badMarker = () => new Refusal('ValidationError', 'Invalid marker');
      const { page, next } = takePage(chosen, PageSize, Marker, badMarker);
      return {
        TargetGroups: page.map(({ arn, name, port, targetType }) => ({
          TargetGroupArn: arn,
          TargetGroupName: name,
          Protocol: 'HTTP',
          Port: port,
          TargetType: targetType,
          VpcId: 'vpc-0123456789abcdef0',
          LoadBalancerArns: [],
        })),
        NextMarker: next,
      };
    },
  ),
  DescribeTargetGroupAttributes: operation({ TargetGroupArn: need(text()) }, ({ TargetGroupArn }, { world }) => ({
    Attributes: [
      {
        Key: 'deregistration_delay.timeout_seconds',
        Value: String(findTargetGroup(world, TargetGroupArn).deregistrationDelaySeconds),
      },
      { Key: 'stickiness.enabled', Value: 'false' },
    ],
  })),
};

const reasons: Record<string, [string, string] | undefined> = {
  initial: ['Elb.RegistrationInProgress', 'Target registration is in progress'],
  unhealthy: ['Target.FailedHealthChecks', 'Health checks failed'],
  draining: ['Target.DeregistrationInProgress', 'Target deregistration is in progress'],
  unused: ['Target.NotRegistered', 'Target is not registered to the target group'],
};

function renderHealth(group: TargetGroup, { Id, Port = group.port }: Partial<Wanted> & { Id: string }): object {
  const State = group.targets.get(`${Id}:${Port}`)?.state ?? 'unused';
  const [Reason, Description] = reasons[State] ?? [];
  return { Target: { Id, Port }, HealthCheckPort: String(Port), TargetHealth: { State, Reason, Description } };
}

const balancerAccess = ({ LoadBalancerName }: { LoadBalancerName: string }, { world }: CallContext): Access[] => [
  { resource: `arn:aws:elasticloadbalancing:${world.region}:${world.accountId}:loadbalancer/${LoadBalancerName}` },
];

const instances = list(record({ InstanceId: need(text()) }));

const classic = {
  RegisterInstancesWithLoadBalancer: operation(
    { LoadBalancerName: need(text()), Instances: need(instances) },
    ({ LoadBalancerName, Instances }, { world }) => {
      const balancer = findLoadBalancer(world, LoadBalancerName);
      for (const { InstanceId } of Instances) {
        if (!world.instances.has(InstanceId)) throw notFound(InstanceId);
        balancer.instances.set(InstanceId, 'InService');
      }
      return { Instances: [...balancer.instances.keys()].map((InstanceId) => ({ InstanceId })) };
    },
    balancerAccess,
  ),
  DeregisterInstancesFromLoadBalancer: operation(
    { LoadBalancerName: need(text()), Instances: need(instances) },
    ({ LoadBalancerName, Instances }, { world }) => {
      const balancer = findLoadBalancer(world, LoadBalancerName);
      for (const { InstanceId } of Instances) deregisterFromBalancer(world, balancer, InstanceId);
      return { Instances: [...balancer.instances.keys()].map((InstanceId) => ({ InstanceId })) };
    },
    balancerAccess,
  ),
  DescribeInstanceHealth: operation(
    { LoadBalancerName: need(text()), Instances: instances },
    ({ LoadBalancerName, Instances }, { world }) => {
      const balancer = findLoadBalancer(world, LoadBalancerName);
      const ids = Instances?.map(({ InstanceId }) => InstanceId) ?? [...balancer.instances.keys()];
      return { InstanceStates: ids.map((id) => renderInstanceHealth(world, id, balancer.instances.get(id))) };
    },
  ),
  DescribeLoadBalancerAttributes: operation({ LoadBalancerName: need(text()) }, ({ LoadBalancerName }, { world }) => {
    const { connectionDraining, drainingSeconds } = findLoadBalancer(world, LoadBalancerName);
    return {
      LoadBalancerAttributes: {
        CrossZoneLoadBalancing: { Enabled: false },
        AccessLog: { Enabled: false },
        ConnectionDraining: { Enabled: connectionDraining, Timeout: drainingSeconds },
        ConnectionSettings: { IdleTimeout: 60 },
      },
    };
  }),
};

const notFound = (id: string) => new Refusal('InvalidInstance', `Could not find EC2 instance ${id}.`);

function renderInstanceHealth(world: World, InstanceId: string, state: 'InService' | 'draining' | undefined): object {
  if (!world.instances.has(InstanceId)) throw notFound(InstanceId);
  if (state === 'draining') {
    return {
      InstanceId,
      State: 'InService',
      ReasonCode: 'N/A',
      Description: 'Instance deregistration currently in progress.',
    };
  }
  if (state) return { InstanceId, State: state, ReasonCode: 'N/A', Description: 'N/A' };
  const Description = 'Instance is not currently registered with the LoadBalancer.';
  return { InstanceId, State: 'OutOfService', ReasonCode: 'Instance', Description };
}

const shared = {
  signingName: 'elasticloadbalancing',
  iam: 'elasticloadbalancing',
  protocol: 'query',
  complain: validationComplaints('ValidationError'),
  throttle: throttled('Throttling', 400),
  deny: denied('AccessDenied', 403),
} as const;

export const elbv2: Service = {
  ...shared,
  id: 'elbv2',
  version: '2015-12-01',
  namespace: 'http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/',
  operations: targetGroups,
};

export const elb: Service = {
  ...shared,
  id: 'elb',
  version: '2012-06-01',
  namespace: 'http://elasticloadbalancing.amazonaws.com/doc/2012-06-01/',
  operations: classic,
};
