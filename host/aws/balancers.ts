/** Target groups and classic load balancers, for this instance as one of their targets. */

import {
  DeregisterInstancesFromLoadBalancerCommand,
  DescribeInstanceHealthCommand,
  ElasticLoadBalancingClient,
} from '@aws-sdk/client-elastic-load-balancing';
import {
  DeregisterTargetsCommand,
  DescribeTargetHealthCommand,
  ElasticLoadBalancingV2Client,
  type TargetDescription,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { Refused, Unavailable } from '../../core/errors.ts';
import type { BalancerCloud } from '../../core/host.ts';
import { parseList } from './parse-list.ts';
import type { Session } from './session/session.ts';

export function openBalancers(session: Session): BalancerCloud & { destroy(): void } {
  const groups = openTargetGroups(session);
  const classic = openLoadBalancers(session);
  return {
    ...groups,
    ...classic,
    destroy() {
      groups.destroy();
      classic.destroy();
    },
  };
}

function openTargetGroups({ identity, callAws, settings }: Session) {
  const client = new ElasticLoadBalancingV2Client(settings('ELASTIC_LOAD_BALANCING_V2'));
  const self = identity.instanceId;
  /**
   * The targets of this instance that remain in the group, by state. It may be several targets,
   * with different ports.
   */
  const find = async (TargetGroupArn: string, signal: AbortSignal) => {
    const call = 'elasticloadbalancing:DescribeTargetHealth';
    const { TargetHealthDescriptions } = await callAws(call, '*', signal, (options) =>
      client.send(new DescribeTargetHealthCommand({ TargetGroupArn }), options),
    );
    return parseList(call, 'of targets', TargetHealthDescriptions).flatMap(({ Target, TargetHealth }) =>
      Target?.Id === self ? [{ target: Target, state: TargetHealth?.State ?? '' }] : [],
    );
  };
  const isDraining = (state: string) => state === 'draining' || state === 'unhealthy.draining';
  return {
    destroy: () => client.destroy(),
    async deregisterTarget(TargetGroupArn: string, signal: AbortSignal): Promise<void> {
      const own = await find(TargetGroupArn, signal);
      // With its port: if the target was registered with another port than the group's, AWS ignores
      // a deregistration without it.
      const listed: TargetDescription[] = own
        .filter(({ state }) => !isDraining(state))
        .map(({ target: { Id, Port } }) => ({ Id, ...(Port !== undefined && { Port }) }));
      if (own.length > 0 && listed.length === 0) return;
      // One list without this instance may be stale: the load balancer would send requests to
      // stopped tasks. AWS accepts the deregistration of an absent target.
      const Targets = listed.length > 0 ? listed : [{ Id: self }];
      await callAws('elasticloadbalancing:DeregisterTargets', TargetGroupArn, signal, (options) =>
        client.send(new DeregisterTargetsCommand({ TargetGroupArn, Targets }), options),
      ).catch((error: unknown) => {
        if (listed.length > 0 || !isNoTarget(error)) throw error;
      });
    },
    async isTargetDraining(TargetGroupArn: string, signal: AbortSignal): Promise<boolean> {
      return (await find(TargetGroupArn, signal)).some(({ state }) => isDraining(state));
    },
  };
}

/** The group has targets of another kind, or does not know this instance. */
function isNoTarget(error: unknown): boolean {
  return error instanceof Refused && /^(InvalidTarget|ValidationError)/.test(error.code ?? '');
}

function openLoadBalancers({ identity, callAws, settings }: Session) {
  const client = new ElasticLoadBalancingClient(settings('ELASTIC_LOAD_BALANCING'));
  const { instanceId: InstanceId, partition, region, accountId } = identity;
  const arn = (name: string) => `arn:${partition}:elasticloadbalancing:${region}:${accountId}:loadbalancer/${name}`;
  return {
    destroy: () => client.destroy(),
    async deregisterFromLoadBalancer(LoadBalancerName: string, signal: AbortSignal): Promise<void> {
      await callAws(
        'elasticloadbalancing:DeregisterInstancesFromLoadBalancer',
        arn(LoadBalancerName),
        signal,
        (options) =>
          client.send(
            new DeregisterInstancesFromLoadBalancerCommand({ LoadBalancerName, Instances: [{ InstanceId }] }),
            options,
          ),
      ).catch(notRegistered);
    },
    async isLoadBalancerDraining(LoadBalancerName: string, signal: AbortSignal): Promise<boolean> {
      const call = 'elasticloadbalancing:DescribeInstanceHealth';
      const answer = await callAws(call, '*', signal, (options) =>
        client.send(new DescribeInstanceHealthCommand({ LoadBalancerName, Instances: [{ InstanceId }] }), options),
      ).catch(notRegistered);
      if (answer === undefined) return false;
      const own = answer.InstanceStates?.find((state) => state.InstanceId === InstanceId);
      if (own === undefined) throw new Unavailable(`${call}: the answer does not have this instance`);
      return /deregistration currently in progress/i.test(own.Description ?? '');
    },
  };
}

/** `InvalidInstance`: the load balancer does not know this instance, or no longer. */
function notRegistered(error: unknown): undefined {
  if (error instanceof Refused && /^InvalidInstance|^InvalidEndPoint/.test(error.code ?? '')) return undefined;
  throw error;
}
