/** The least-privilege IAM policy of whoever looks after a fleet: a person or a Lambda function, not a node. Pure. */

import type { Place, Policy, Statement } from './policy.ts';

/** How far an action reaches, from narrow to wide. */
export type FleetReach =
  | 'cluster'
  | 'service'
  /** IAM knows no resource for it; it reads only. */
  | 'everything';

export interface FleetPermission {
  action: string;
  feature: string;
  reach: FleetReach;
  /** Needed only where something may be changed. */
  acts?: true;
}

/** `*` where one does not know. */
export interface FleetSubject {
  cluster: string;
  service: string;
  /** Whether it may change something. */
  apply: boolean;
}

type At = Pick<Place, 'partition' | 'region' | 'account'>;

const limits: Record<FleetReach, (subject: FleetSubject, place: At) => string> = {
  cluster: ({ cluster }, place) => arn(place, 'ecs', `cluster/${cluster}`),
  service: ({ cluster, service }, place) => arn(place, 'ecs', `service/${cluster}/${service}`),
  everything: () => '*',
};

const sids: Record<FleetReach, string> = {
  cluster: 'OnTheCluster',
  service: 'OnTheService',
  everything: 'ReadOnlySinceIamKnowsNoResourceThere',
};

const words: Record<FleetReach, string> = {
  cluster: 'the cluster',
  service: 'the service',
  everything: 'everything, read only: IAM knows no resource for it',
};

export function fleetPolicy(permissions: readonly FleetPermission[], subject: FleetSubject, place: At): Policy {
  const needed = permissions.filter(({ acts }) => acts !== true || subject.apply);
  const reaches = [...new Set(needed.map(({ reach }) => reach))];
  const statementOf = (reach: FleetReach): Statement => ({
    Sid: sids[reach],
    Effect: 'Allow',
    Action: needed.filter((permission) => permission.reach === reach).map(({ action }) => action),
    Resource: limits[reach](subject, place),
  });
  return { Version: '2012-10-17', Statement: reaches.map(statementOf) };
}

/** One line for each action: what for, how far it reaches, and whether only `--apply` needs it. */
export function explainFleetPolicy(permissions: readonly FleetPermission[]): string[] {
  const width = Math.max(...permissions.map(({ action }) => action.length));
  return permissions.map(
    ({ action, feature, reach, acts }) =>
      `${action.padEnd(width)}  ${feature}; ${words[reach]}${acts === true ? '; only with --apply' : ''}`,
  );
}

function arn({ partition, region, account }: At, service: string, resource: string): string {
  return `arn:${partition}:${service}:${region}:${account}:${resource}`;
}
