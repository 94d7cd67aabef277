/** How each command of the pages is run here, or why it is not. */

import { ownGroup } from './plan-own-group.ts';

export interface Planned {
  page: string;
  command: string;
  /**
   * checkout: in a fresh copy of the project, in this order; account: with the AWS CLI against
   * moto; node: on a node of the simulator; user-data: as a node's first script,
   * or to write one.
   */
  how: 'checkout' | 'account' | 'node' | 'user-data' | 'not run';
  why?: string;
}

const readme = 'README.md';
const start = 'docs/getting-started.md';
const again = 'README.md has it in one line with the next command';
const packsLong = 'it packs for minutes; test/build/release.rpmbuild.test.ts makes a release of a small binary';
const onlyOnAws = 'needs a node on AWS, and the plugin of Session Manager';

const inAccount = (page: string, command: string): Planned => ({ page, how: 'account', command });

export const plan: readonly Planned[] = [
  { page: readme, how: 'checkout', command: 'npm ci && npm start' },
  { page: readme, how: 'not run', command: 'npm ci && npm test', why: 'it would run this test again' },
  { page: readme, how: 'user-data', command: '#!/bin/sh\nexec ecs-node configure --cluster prod\n' },
  {
    page: readme,
    how: 'user-data',
    command: '#!/bin/sh\ncurl -fsSL https://example.com/ecs-node/install.sh | sh -s -- --cluster prod\n',
  },
  { page: start, how: 'not run', command: 'npm ci', why: again },
  { page: start, how: 'not run', command: 'npm start', why: again },
  { page: start, how: 'not run', command: 'npm run release -- --unsigned --architecture x64', why: packsLong },
  { page: start, how: 'checkout', command: 'packer init packer/' },
  {
    page: start,
    how: 'checkout',
    command: `packer build -only='*.x86_64' -var region=eu-west-1 -var 'ami_parameters={x86_64="/ami/ecs-try/latest"}' packer/`,
  },
  inAccount(
    start,
    `aws cloudformation create-stack --region eu-west-1 --stack-name ecs-try \\
  --template-body file://cloudformation/cluster.yaml --capabilities CAPABILITY_IAM \\
  --parameters ParameterKey=EcsClusterName,ParameterValue=try \\
               ParameterKey=EcsAmiParameterKey,ParameterValue=/ami/ecs-try/latest \\
               ParameterKey=SecurityGroupIds,ParameterValue=sg-0123456789abcdef0 \\
               ParameterKey=SubnetIds,ParameterValue='subnet-0123456789abcdef0\\,subnet-0fedcba9876543210'`,
  ),
  inAccount(start, 'aws cloudformation wait stack-create-complete --region eu-west-1 --stack-name ecs-try'),
  inAccount(
    start,
    `GROUP=$(aws cloudformation describe-stack-resource --region eu-west-1 --stack-name ecs-try --logical-resource-id NodeGroup \\
  --output text --query StackResourceDetail.PhysicalResourceId)`,
  ),
  inAccount(
    start,
    `NODE=$(aws autoscaling describe-auto-scaling-groups --region eu-west-1 --auto-scaling-group-names "$GROUP" \\
  --output text --query 'AutoScalingGroups[0].Instances[0].InstanceId')`,
  ),
  { page: start, how: 'not run', command: 'aws ssm start-session --region eu-west-1 --target "$NODE"', why: onlyOnAws },
  { page: start, how: 'node', command: 'ecs-node status' },
  { page: start, how: 'node', command: 'sudo ecs-node doctor' },
  inAccount(start, 'aws cloudformation delete-stack --region eu-west-1 --stack-name ecs-try'),
  inAccount(start, 'aws cloudformation wait stack-delete-complete --region eu-west-1 --stack-name ecs-try'),
  inAccount(
    start,
    'IMAGE=$(aws ssm get-parameter --region eu-west-1 --name /ami/ecs-try/latest --output text --query Parameter.Value)',
  ),
  inAccount(
    start,
    `SNAPSHOT=$(aws ec2 describe-images --region eu-west-1 --image-ids "$IMAGE" \\
  --output text --query 'Images[0].BlockDeviceMappings[0].Ebs.SnapshotId')`,
  ),
  inAccount(start, 'aws ec2 deregister-image --region eu-west-1 --image-id "$IMAGE"'),
  inAccount(start, 'aws ec2 delete-snapshot --region eu-west-1 --snapshot-id "$SNAPSHOT"'),
  inAccount(
    start,
    `aws ssm delete-parameters --region eu-west-1 --names $(aws ssm get-parameters-by-path --region eu-west-1 --path /ami/ecs-try \\
  --output text --query "Parameters[?Value=='$IMAGE'].Name")`,
  ),
  ...ownGroup,
];

export const pages = [...new Set(plan.map(({ page }) => page))];

export function planned(how: Planned['how']): Planned[] {
  return plan.filter((each) => each.how === how);
}
