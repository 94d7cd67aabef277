/** Deploys templates to the account on loopback, and reads what came of it. */

import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import type { Policy } from '../../../iam/policy.ts';
import type { Account } from './stack.ts';

export interface Group {
  AutoScalingGroupName: string;
  MinSize: number;
  MaxSize: number;
  DesiredCapacity: number;
  LaunchTemplate?: { LaunchTemplateId: string; Version: string };
  MixedInstancesPolicy: {
    LaunchTemplate: {
      LaunchTemplateSpecification: { LaunchTemplateId: string; Version: string };
      Overrides: { InstanceType: string }[];
    };
  };
}

export interface LaunchData {
  ImageId: string;
  InstanceType: string;
  KeyName?: string;
  UserData: string;
  IamInstanceProfile: { Name: string };
  MetadataOptions: Record<string, unknown>;
  BlockDeviceMappings: { DeviceName: string; Ebs: Record<string, unknown> }[];
}

export interface StackOrder {
  name: string;
  parameters: Readonly<Record<string, string>>;
  file?: string;
  /** Instead of the file's text. */
  text?: string;
}

export async function deploy(
  account: Account,
  verb: 'create-stack' | 'update-stack',
  { name, parameters, file = 'cluster.yaml', text }: StackOrder,
): Promise<void> {
  const pairs = Object.entries(parameters).map(([ParameterKey, ParameterValue]) => ({ ParameterKey, ParameterValue }));
  const body = text ?? (await readFile(`cloudformation/${file}`, 'utf8'));
  const words = ['--stack-name', name, '--template-body', body, '--capabilities', 'CAPABILITY_IAM'];
  await account.aws('cloudformation', verb, ...words, '--parameters', JSON.stringify(pairs));
}

export async function readGroup(account: Account, stack: string): Promise<Group | undefined> {
  const found = await account.aws<{ AutoScalingGroups: Group[] }>('autoscaling', 'describe-auto-scaling-groups');
  return found.AutoScalingGroups.find((group) => group.AutoScalingGroupName.startsWith(`${stack}-NodeGroup-`));
}

/** The launch template's data for the group's next node. */
export async function readLaunchData(account: Account, stack: string): Promise<LaunchData> {
  const group = (await readGroup(account, stack))!;
  const { LaunchTemplateId, Version } =
    group.LaunchTemplate ?? group.MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification;
  const words = ['--launch-template-id', LaunchTemplateId, '--versions', Version];
  const found = await account.aws<{ LaunchTemplateVersions: { LaunchTemplateData: LaunchData }[] }>(
    'ec2',
    'describe-launch-template-versions',
    ...words,
  );
  return found.LaunchTemplateVersions[0]!.LaunchTemplateData;
}

/** The inline policies of a role, by name. */
export async function readRole(account: Account, prefix: string): Promise<Record<string, Policy>> {
  const { Roles } = await account.aws<{ Roles: { RoleName: string }[] }>('iam', 'list-roles');
  const role = ['--role-name', Roles.find(({ RoleName }) => RoleName.startsWith(prefix))!.RoleName];
  const { PolicyNames } = await account.aws<{ PolicyNames: string[] }>('iam', 'list-role-policies', ...role);
  const policies: Record<string, Policy> = {};
  for (const name of PolicyNames) {
    const words = [...role, '--policy-name', name];
    const { PolicyDocument } = await account.aws<{ PolicyDocument: string | Policy }>(
      'iam',
      'get-role-policy',
      ...words,
    );
    // moto gives a role's own policies as text in Python's notation, which is near enough to YAML.
    const policy = typeof PolicyDocument === 'string' ? (parse(PolicyDocument) as Policy) : PolicyDocument;
    policies[name] = withoutNothing(policy);
  }
  return policies;
}

/** CloudFormation leaves AWS::NoValue out of lists; moto leaves Python's None there. */
function withoutNothing({ Version, Statement }: Policy): Policy {
  const isNothing = (value: unknown) => value === null || value === 'None';
  const statements = Statement.filter((each) => !isNothing(each));
  return {
    Version,
    Statement: statements.map((each) => ({ ...each, Action: each.Action.filter((action) => !isNothing(action)) })),
  };
}
