/** How each command of the pages is run here, or why it is not. */

export interface Planned {
  page: string;
  command: string;
  /**
   * checkout: in a fresh copy of the project, in this order; account: with the AWS CLI against
   * moto; node: on a node of the simulator; user-data: as a node's first script.
   */
  how: 'checkout' | 'account' | 'node' | 'user-data' | 'not run';
  why?: string;
}

const readme = 'README.md';
const start = 'docs/getting-started.md';
const own = 'docs/your-own-group.md';
const again = 'README.md has it in one line with the next command';
const packsLong = 'it packs for minutes; test/build/release.rpmbuild.test.ts makes a release of a small binary';
const onlyOnAws = 'needs a node on AWS, and the plugin of Session Manager';
const noProvider = 'needs the AWS provider from a registry; test/examples evaluates the files';
const inExamples = 'test/examples/cdk.cdk.test.ts runs the program that it starts';

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
  {
    page: start,
    how: 'not run',
    command: 'npm run release -- --unsigned --architecture x64',
    why: packsLong,
  },
  { page: start, how: 'checkout', command: 'packer init packer/' },
  {
    page: start,
    how: 'checkout',
    command: `packer build -only='*.x86_64' -var region=eu-west-1 -var 'ami_parameters={x86_64="/ami/ecs/latest"}' packer/`,
  },
  {
    page: start,
    how: 'account',
    command: `aws cloudformation create-stack --region eu-west-1 --stack-name ecs-try \\
  --template-body file://cloudformation/cluster.yaml --capabilities CAPABILITY_IAM \\
  --parameters ParameterKey=EcsClusterName,ParameterValue=try \\
               ParameterKey=SecurityGroupIds,ParameterValue=sg-0123456789abcdef0 \\
               ParameterKey=SubnetIds,ParameterValue='subnet-0123456789abcdef0\\,subnet-0fedcba9876543210'`,
  },
  {
    page: start,
    how: 'account',
    command: 'aws cloudformation wait stack-create-complete --region eu-west-1 --stack-name ecs-try',
  },
  {
    page: start,
    how: 'not run',
    command: 'aws ssm start-session --region eu-west-1 --target i-0123456789abcdef0',
    why: onlyOnAws,
  },
  { page: start, how: 'node', command: 'ecs-node status' },
  { page: start, how: 'node', command: 'sudo ecs-node doctor' },
  {
    page: start,
    how: 'account',
    command: 'aws cloudformation delete-stack --region eu-west-1 --stack-name ecs-try',
  },
  {
    page: own,
    how: 'user-data',
    command:
      '#!/bin/sh\ncurl -fsSL https://example.com/ecs-node/install.sh | sh -s -- --cluster prod --registrar ssm\n',
  },
  {
    page: own,
    how: 'account',
    command:
      'ecs-node policy --cluster "$CLUSTER" --registrar ssm --region "$REGION" --account "$ACCOUNT" --group "$GROUP" > node.json',
  },
  {
    page: own,
    how: 'account',
    command: 'ecs-node policy --for ecs-agent --cluster "$CLUSTER" > ecs-agent.json',
  },
  { page: own, how: 'account', command: 'ecs-node policy --for systems-manager > systems-manager.json' },
  {
    page: own,
    how: 'account',
    command: `for name in node ecs-agent systems-manager; do
  aws iam put-role-policy --role-name "$ROLE" --policy-name "ecs-node-$name" --policy-document "file://$name.json"
done`,
  },
  {
    page: own,
    how: 'account',
    command: `aws autoscaling put-lifecycle-hook --auto-scaling-group-name "$GROUP" --lifecycle-hook-name ecs-node-launch \\
  --lifecycle-transition autoscaling:EC2_INSTANCE_LAUNCHING --heartbeat-timeout 1800 --default-result ABANDON`,
  },
  {
    page: own,
    how: 'account',
    command: `aws autoscaling put-lifecycle-hook --auto-scaling-group-name "$GROUP" --lifecycle-hook-name ecs-node-terminate \\
  --lifecycle-transition autoscaling:EC2_INSTANCE_TERMINATING --heartbeat-timeout 1200 --default-result CONTINUE`,
  },
  {
    page: own,
    how: 'account',
    command: `aws autoscaling update-auto-scaling-group --auto-scaling-group-name "$GROUP" \\
  --instance-maintenance-policy MinHealthyPercentage=100,MaxHealthyPercentage=200`,
  },
  { page: own, how: 'node', command: 'sudo ecs-node doctor' },
  { page: own, how: 'node', command: "sudo ecs-node leave --reason 'first try'" },
  { page: own, how: 'not run', command: 'cd examples/terraform', why: noProvider },
  { page: own, how: 'not run', command: 'terraform init', why: noProvider },
  { page: own, how: 'not run', command: 'terraform validate', why: noProvider },
  {
    page: own,
    how: 'not run',
    command: `terraform apply -var cluster=prod -var 'subnet_ids=["subnet-0123456789abcdef0"]' -var 'security_group_ids=["sg-0123456789abcdef0"]'`,
    why: noProvider,
  },
  { page: own, how: 'not run', command: 'cd examples/cdk', why: inExamples },
  { page: own, how: 'not run', command: 'npm ci', why: inExamples },
  { page: own, how: 'not run', command: 'npx cdk bootstrap', why: inExamples },
  { page: own, how: 'not run', command: 'npx cdk deploy', why: inExamples },
];

export const pages = [...new Set(plan.map(({ page }) => page))];

export function planned(how: Planned['how']): Planned[] {
  return plan.filter((each) => each.how === how);
}
