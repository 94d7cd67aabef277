/**
 * Decides whether the caller's role allows a request. A role without a policy allows everything.
 */

import type { Refusal } from '../refusal.ts';
import type { Access, Service } from '../services/service.ts';
import type { Instance, World } from '../world/state.ts';
import { isAllowed, parsePolicy, type Policy } from './policy.ts';

const parsed = new WeakMap<object, Policy>();

/** Returns the refusal in the service's own wording; undefined if IAM allows the request. */
export function refuseUnlessAllowed(
  world: World,
  service: Service,
  operation: string,
  accesses: readonly Access[],
  caller: Instance | undefined,
): Refusal | undefined {
  if (!caller || caller.policy === undefined || caller.policy === null) return undefined;
  if (service.id === 'sts') return undefined;
  const policy = policyOf(caller.policy);
  const principal = `arn:aws:sts::${world.accountId}:assumed-role/${caller.role}/${caller.id}`;
  for (const { action, resource = '*', context = {} } of accesses) {
    const name = action ?? `${service.iam}:${operation}`;
    const request = { action: name, resource, context: { ...contextOf(world, caller), ...context } };
    if (isAllowed(policy, request)) continue;
    return service.deny(
      `User: ${principal} is not authorized to perform: ${name} on resource: ${resource} because no identity-based policy allows the ${name} action`,
    );
  }
  return undefined;
}

function policyOf(value: unknown): Policy {
  if (typeof value !== 'object' || value === null) return parsePolicy(value);
  const known = parsed.get(value) ?? parsePolicy(value);
  parsed.set(value, known);
  return known;
}

/** Returns the documented condition keys that IAM knows for every request of an instance's role. */
function contextOf(world: World, caller: Instance): Record<string, string> {
  return {
    'aws:userid': `AROASIMULATORROLE0000:${caller.id}`,
    'aws:PrincipalArn': `arn:aws:iam::${world.accountId}:role/${caller.role}`,
    'aws:PrincipalAccount': world.accountId,
    'aws:RequestedRegion': world.region,
    'aws:SecureTransport': 'false',
    'ec2:Region': world.region,
    'ec2:SourceInstanceARN': `arn:aws:ec2:${world.region}:${world.accountId}:instance/${caller.id}`,
  };
}
