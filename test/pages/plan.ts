/** How each command of the pages is run here, or why it is not. */

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
const own = 'docs/your-own-group.md';
const again = 'README.md has it in one line with the next command';
const packsLong = 'it packs for minutes; test/build/release.rpmbuild.test.ts makes a release of a small binary';
const onlyOnAws = 'needs a node on AWS, and the plugin of Session Manager';
const noProvider = 'needs the AWS provider from a registry; test/examples evaluates the files';
const inExamples = 'test/examples/cdk.cdk.test.ts runs the program that it starts';

const inAccount = (page: string, command: string): Planned => ({ page, how: 'account', command });
const notRun = (command: string, why: string): Planned => ({ page: own, how: 'not run', command, why });

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
    command: `packer build -only='*.x86_64' -var region=eu-west-1 -var 'ami_parameters={x86_64="/ami/ecs/latest"}' packer/`,
  },
  inAccount(
    start,
    `aws cloudformation create-stack --region eu-west-1 --stack-name ecs-try \\
  --template-body file://cloudformation/cluster.yaml --capabilities CAPABILITY_IAM \\
  --parameters ParameterKey=EcsClusterName,ParameterValue=try \\
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
    'IMAGE=$(aws ssm get-parameter --region eu-west-1 --name /ami/ecs/latest --output text --query Parameter.Value)',
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
    `aws ssm delete-parameters --region eu-west-1 --names $(aws ssm get-parameters-by-path --region eu-west-1 --path /ami/ecs \\
  --output text --query "Parameters[?Value=='$IMAGE'].Name")`,
  ),
  inAccount(own, 'GROUP=my-group CLUSTER=my-cluster REGION=eu-west-1'),
  inAccount(own, 'ACCOUNT=$(aws sts get-caller-identity --region "$REGION" --query Account --output text)'),
  inAccount(
    own,
    `TEMPLATE=$(aws autoscaling describe-auto-scaling-groups --region "$REGION" --auto-scaling-group-names "$GROUP" --output text \\
  --query 'AutoScalingGroups[0].not_null(LaunchTemplate, MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification).LaunchTemplateId')`,
  ),
  inAccount(
    own,
    `PROFILE=$(aws ec2 describe-launch-template-versions --region "$REGION" --launch-template-id "$TEMPLATE" --versions '$Latest' \\
  --output text --query 'LaunchTemplateVersions[0].LaunchTemplateData.IamInstanceProfile.not_null(Name, Arn)')`,
  ),
  inAccount(
    own,
    `ROLE=$(aws iam get-instance-profile --region "$REGION" --instance-profile-name "\${PROFILE##*/}" \\
  --output text --query 'InstanceProfile.Roles[0].RoleName')`,
  ),
  {
    page: own,
    how: 'user-data',
    command: `printf '#!/bin/sh\\ncurl -fsSL https://example.com/ecs-node/install.sh | sh -s -- --cluster %s --registrar ssm\\n' "$CLUSTER" > user-data.sh`,
  },
  {
    page: own,
    how: 'user-data',
    command: `printf '#!/bin/sh\\nexec ecs-node configure --cluster %s --registrar ssm\\n' "$CLUSTER" > user-data.sh`,
  },
  inAccount(
    own,
    'ecs-node policy --cluster "$CLUSTER" --registrar ssm --region "$REGION" --account "$ACCOUNT" --group "$GROUP" > node.json',
  ),
  inAccount(own, 'ecs-node policy --for ecs-agent --cluster "$CLUSTER" > ecs-agent.json'),
  inAccount(own, 'ecs-node policy --for systems-manager > systems-manager.json'),
  inAccount(
    own,
    `for name in node ecs-agent systems-manager; do
  aws iam put-role-policy --region "$REGION" --role-name "$ROLE" --policy-name "ecs-node-$name" --policy-document "file://$name.json"
done`,
  ),
  inAccount(
    own,
    `aws ec2 create-launch-template-version --region "$REGION" --launch-template-id "$TEMPLATE" --source-version '$Latest' \\
  --launch-template-data "UserData=$(base64 < user-data.sh | tr -d '\\n'),MetadataOptions={HttpTokens=required,HttpPutResponseHopLimit=1,InstanceMetadataTags=enabled}"`,
  ),
  inAccount(
    own,
    `aws autoscaling update-auto-scaling-group --region "$REGION" --auto-scaling-group-name "$GROUP" \\
  --launch-template "LaunchTemplateId=$TEMPLATE,Version=\\$Latest"`,
  ),
  inAccount(
    own,
    `aws autoscaling put-lifecycle-hook --region "$REGION" --auto-scaling-group-name "$GROUP" --lifecycle-hook-name ecs-node-launch \\
  --lifecycle-transition autoscaling:EC2_INSTANCE_LAUNCHING --heartbeat-timeout 1800 --default-result ABANDON`,
  ),
  inAccount(
    own,
    `aws autoscaling put-lifecycle-hook --region "$REGION" --auto-scaling-group-name "$GROUP" --lifecycle-hook-name ecs-node-terminate \\
  --lifecycle-transition autoscaling:EC2_INSTANCE_TERMINATING --heartbeat-timeout 1200 --default-result CONTINUE`,
  ),
  inAccount(
    own,
    `aws autoscaling update-auto-scaling-group --region "$REGION" --auto-scaling-group-name "$GROUP" \\
  --instance-maintenance-policy MinHealthyPercentage=100,MaxHealthyPercentage=200`,
  ),
  inAccount(
    own,
    `SIZE=$(aws autoscaling describe-auto-scaling-groups --region "$REGION" --auto-scaling-group-names "$GROUP" \\
  --output text --query 'AutoScalingGroups[0].DesiredCapacity')`,
  ),
  inAccount(
    own,
    'aws autoscaling set-desired-capacity --region "$REGION" --auto-scaling-group-name "$GROUP" --desired-capacity "$((SIZE + 1))"',
  ),
  { page: own, how: 'node', command: 'sudo ecs-node doctor' },
  { page: own, how: 'node', command: "sudo ecs-node leave --reason 'first try'" },
  notRun(
    'aws autoscaling start-instance-refresh --region "$REGION" --auto-scaling-group-name "$GROUP" --preferences SkipMatching=true',
    'moto has no instance refresh',
  ),
  ...[
    'cd examples/terraform',
    'terraform init',
    'terraform validate',
    `terraform apply -var cluster="$CLUSTER" -var 'subnet_ids=["subnet-0123456789abcdef0"]' -var 'security_group_ids=["sg-0123456789abcdef0"]'`,
  ].map((command) => notRun(command, noProvider)),
  ...['cd examples/cdk', 'npm ci', 'npx cdk bootstrap', 'npx cdk deploy'].map((command) => notRun(command, inExamples)),
];

export const pages = [...new Set(plan.map(({ page }) => page))];

export function planned(how: Planned['how']): Planned[] {
  return plan.filter((each) => each.how === how);
}
