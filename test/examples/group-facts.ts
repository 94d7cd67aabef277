/** The facts about an Auto Scaling group that a node relies on, as each example says them. */

import { readTemplate } from '../cloudformation/rig/template.ts';

export interface GroupFacts {
  hooks: Hook[];
  metadata: Record<string, string>;
  volume: Record<string, string>;
  shutdown: string;
  health: Record<string, string>;
  maintenance: Record<string, string>;
  refresh: Record<string, string>;
  terminationPolicies: string[];
  tags: Record<string, string>;
  provider: Record<string, string>;
}

export interface Hook {
  name: string;
  transition: string;
  seconds: string;
  result: string;
}

interface Resource {
  Type: string;
  Properties: Record<string, unknown>;
  UpdatePolicy?: Record<string, unknown>;
}

type Fields = Record<string, unknown>;

/** The facts of a CloudFormation template whose functions are resolved. */
export function factsOf(resources: Record<string, Resource>): GroupFacts {
  const named = (type: string) => Object.values(resources).find(({ Type }) => Type === type)!;
  const group = named('AWS::AutoScaling::AutoScalingGroup');
  const data = named('AWS::EC2::LaunchTemplate').Properties['LaunchTemplateData'] as Fields;
  const [device] = data['BlockDeviceMappings'] as [{ Ebs: Fields }];
  const provider = named('AWS::ECS::CapacityProvider').Properties['AutoScalingGroupProvider'] as Fields;
  const { HealthCheckType, HealthCheckGracePeriod, DefaultInstanceWarmup } = group.Properties;
  const refresh = group.UpdatePolicy!['AutoScalingInstanceRefresh'] as { Preferences: Fields };
  return {
    hooks: (group.Properties['LifecycleHookSpecificationList'] as Fields[]).map((hook) => ({
      name: `${hook['LifecycleHookName'] as string}`,
      transition: `${hook['LifecycleTransition'] as string}`,
      seconds: `${hook['HeartbeatTimeout'] as number}`,
      result: `${hook['DefaultResult'] as string}`,
    })),
    metadata: texts(data['MetadataOptions']),
    volume: texts(device.Ebs),
    shutdown: data['InstanceInitiatedShutdownBehavior'] as string,
    health: texts({ HealthCheckType, HealthCheckGracePeriod, DefaultInstanceWarmup }),
    maintenance: texts(group.Properties['InstanceMaintenancePolicy']),
    refresh: texts(refresh.Preferences),
    terminationPolicies: group.Properties['TerminationPolicies'] as string[],
    tags: Object.fromEntries(
      (group.Properties['Tags'] as { Key: string; Value: string }[]).map(({ Key, Value }) => [Key, Value]),
    ),
    provider: texts({
      ManagedDraining: provider['ManagedDraining'],
      ManagedTerminationProtection: provider['ManagedTerminationProtection'],
      ManagedScaling: (provider['ManagedScaling'] as Fields)['Status'],
    }),
  };
}

/** Those of cloudformation/cluster.yaml for a cluster called `prod`, which the examples repeat. */
export function factsOfTemplate(): GroupFacts {
  const { Resources, Parameters } = readTemplate();
  const values = Object.fromEntries(Object.entries(Parameters).map(([name, { Default }]) => [name, Default]));
  return factsOf(withDefaults(Resources, { ...values, EcsClusterName: 'prod' }) as Record<string, Resource>);
}

/** Parameters have their defaults; each condition about an optional part is false with them. */
export function withDefaults(value: unknown, parameters: Fields): unknown {
  if (Array.isArray(value)) return value.map((each) => withDefaults(each, parameters));
  if (typeof value !== 'object' || value === null) return value;
  const { Ref, 'Fn::If': choice, 'Fn::Sub': text } = value as Fields;
  if (typeof Ref === 'string') return Ref in parameters ? parameters[Ref] : undefined;
  if (Array.isArray(choice)) return withDefaults(choice[2], parameters);
  if (typeof text === 'string') return text.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => String(parameters[name]));
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withDefaults(each, parameters)]));
}

/** Numbers and booleans are texts in some of the forms. */
export function texts(fields: unknown): Record<string, string> {
  const entries = Object.entries(fields as Fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([key, value]) => [key, String(value)]));
}
