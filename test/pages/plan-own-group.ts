/** The commands of docs/your-own-group.md. */

import type { Planned } from './plan.ts';

const page = 'docs/your-own-group.md';
const noProvider = 'needs the AWS provider from a registry; test/examples evaluates the files';
const hasConfiguration = 'the group of this account has a launch configuration';
const noNodes = 'no instance of moto registers with ECS';
const noRefresh = 'moto has no instance refresh';
const wayBack = 'the tests after the page look at what it has made';
const inExamples = 'test/examples/cdk.cdk.test.ts runs the program that it starts';

const inAccount = (command: string): Planned => ({ page, how: 'account', command });
const notRun = (command: string, why: string): Planned => ({ page, how: 'not run', command, why });

export const ownGroup: readonly Planned[] = [
  inAccount('GROUP=my-group CLUSTER=my-cluster REGION=eu-west-1'),
  inAccount('ACCOUNT=$(aws sts get-caller-identity --region "$REGION" --query Account --output text)'),
  inAccount(`CONFIGURATION=$(aws autoscaling describe-auto-scaling-groups --region "$REGION" --auto-scaling-group-names "$GROUP" \\
  --output text --query 'AutoScalingGroups[0].LaunchConfigurationName')`),
  inAccount('echo "$CONFIGURATION"'),
  notRun(
    `TEMPLATE=$(aws autoscaling describe-auto-scaling-groups --region "$REGION" --auto-scaling-group-names "$GROUP" --output text \\
  --query 'AutoScalingGroups[0].not_null(LaunchTemplate, MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification).LaunchTemplateId')`,
    hasConfiguration,
  ),
  inAccount(`IMAGE=$(aws ssm get-parameter --region "$REGION" --name /aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id \\
  --output text --query Parameter.Value)`),
  inAccount(`aws autoscaling describe-launch-configurations --region "$REGION" --launch-configuration-names "$CONFIGURATION" --output json \\
  --query "LaunchConfigurations[0].merge({ImageId: '$IMAGE', InstanceType: InstanceType, IamInstanceProfile: {Name: IamInstanceProfile}},
    KeyName && {KeyName: KeyName} || \\\`{}\\\`,
    AssociatePublicIpAddress == \\\`null\\\` && {SecurityGroupIds: SecurityGroups} ||
      {NetworkInterfaces: [{DeviceIndex: \\\`0\\\`, AssociatePublicIpAddress: AssociatePublicIpAddress, Groups: SecurityGroups}]})" > template.json`),
  inAccount(`TEMPLATE=$(aws ec2 create-launch-template --region "$REGION" --launch-template-name "$GROUP" --launch-template-data file://template.json \\
  --output text --query LaunchTemplate.LaunchTemplateId)`),
  inAccount(`PROFILE=$(aws ec2 describe-launch-template-versions --region "$REGION" --launch-template-id "$TEMPLATE" --versions '$Latest' \\
  --output text --query 'LaunchTemplateVersions[0].LaunchTemplateData.IamInstanceProfile.not_null(Name, Arn)')`),
  inAccount(`ROLE=$(aws iam get-instance-profile --region "$REGION" --instance-profile-name "\${PROFILE##*/}" \\
  --output text --query 'InstanceProfile.Roles[0].RoleName')`),
  {
    page,
    how: 'user-data',
    command: `printf '#!/bin/sh\\ncurl -fsSL https://example.com/ecs-node/install.sh | sh -s -- --cluster %s --registrar ssm --set events.bus=default --set ecs.settings.ECS_AWSVPC_BLOCK_IMDS=true\\n' "$CLUSTER" > user-data.sh`,
  },
  {
    page,
    how: 'user-data',
    command: `printf '#!/bin/sh\\nexec ecs-node configure --cluster %s --registrar ssm --set events.bus=default --set ecs.settings.ECS_AWSVPC_BLOCK_IMDS=true\\n' "$CLUSTER" > user-data.sh`,
  },
  inAccount(
    'ecs-node policy --cluster "$CLUSTER" --registrar ssm --set events.bus=default --region "$REGION" --account "$ACCOUNT" --group "$GROUP" > ecs-node.json',
  ),
  inAccount(
    'ecs-node policy --for ecs-agent --cluster "$CLUSTER" --region "$REGION" --account "$ACCOUNT" > ecs-agent.json',
  ),
  inAccount('ecs-node policy --for systems-manager --region "$REGION" --account "$ACCOUNT" > systems-manager.json'),
  inAccount(`for name in ecs-node ecs-agent systems-manager; do
  aws iam put-role-policy --region "$REGION" --role-name "$ROLE" --policy-name "$name" --policy-document "file://$name.json"
done`),
  inAccount(`aws iam detach-role-policy --region "$REGION" --role-name "$ROLE" \\
  --policy-arn arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role`),
  inAccount(`aws iam detach-role-policy --region "$REGION" --role-name "$ROLE" \\
  --policy-arn arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore`),
  inAccount(`BEFORE=$(aws ec2 describe-launch-templates --region "$REGION" --launch-template-ids "$TEMPLATE" \\
  --output text --query 'LaunchTemplates[0].LatestVersionNumber')`),
  inAccount(`aws ec2 create-launch-template-version --region "$REGION" --launch-template-id "$TEMPLATE" --source-version '$Latest' \\
  --launch-template-data "UserData=$(base64 < user-data.sh | tr -d '\\n'),MetadataOptions={HttpTokens=required,HttpPutResponseHopLimit=1,InstanceMetadataTags=enabled},InstanceInitiatedShutdownBehavior=terminate"`),
  inAccount(`aws autoscaling update-auto-scaling-group --region "$REGION" --auto-scaling-group-name "$GROUP" \\
  --launch-template "LaunchTemplateId=$TEMPLATE,Version=\\$Latest"`),
  inAccount(`aws autoscaling put-lifecycle-hook --region "$REGION" --auto-scaling-group-name "$GROUP" --lifecycle-hook-name ecs-node-launch \\
  --lifecycle-transition autoscaling:EC2_INSTANCE_LAUNCHING --heartbeat-timeout 1800 --default-result ABANDON`),
  inAccount(`aws autoscaling put-lifecycle-hook --region "$REGION" --auto-scaling-group-name "$GROUP" --lifecycle-hook-name ecs-node-terminate \\
  --lifecycle-transition autoscaling:EC2_INSTANCE_TERMINATING --heartbeat-timeout 1200 --default-result CONTINUE`),
  inAccount(`aws autoscaling update-auto-scaling-group --region "$REGION" --auto-scaling-group-name "$GROUP" \\
  --instance-maintenance-policy MinHealthyPercentage=100,MaxHealthyPercentage=200`),
  inAccount('LOG=/ecs-node/$CLUSTER/events LOGARN=arn:aws:logs:$REGION:$ACCOUNT:log-group:/ecs-node/$CLUSTER/events'),
  inAccount('aws logs create-log-group --region "$REGION" --log-group-name "$LOG"'),
  inAccount('aws logs put-retention-policy --region "$REGION" --log-group-name "$LOG" --retention-in-days 90'),
  inAccount(`aws logs put-resource-policy --region "$REGION" --policy-name "ecs-node-$CLUSTER-events" --policy-document '{
  "Version": "2012-10-17",
  "Statement": [{
    "Effect": "Allow",
    "Principal": { "Service": ["events.amazonaws.com", "delivery.logs.amazonaws.com"] },
    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": "'"$LOGARN"':*"
  }]
}'`),
  inAccount(`aws events put-rule --region "$REGION" --name "ecs-node-$CLUSTER-events" \\
  --event-pattern '{"source": ["ecs-node"], "detail": {"cluster": ["'"$CLUSTER"'"]}}'`),
  inAccount(
    'aws events put-targets --region "$REGION" --rule "ecs-node-$CLUSTER-events" --targets "Id=log,Arn=$LOGARN"',
  ),
  inAccount(`printf '%s\\n' 'DiskSpaceUtilization Maximum 2 85 disk' 'DiskInodesUtilization Maximum 2 85 inodes' \\
  'LaunchHookNotCompleted Sum 2 0 launch hook' 'BootstrapHeld Sum 1 0 storm guard' 'UpkeepFailing Maximum 12 0 upkeep' |
  while read -r metric statistic periods above name; do
    aws cloudwatch put-metric-alarm --region "$REGION" --alarm-name "ecs-node $CLUSTER $GROUP $name" --namespace System/Linux \\
      --metric-name "$metric" --dimensions "Name=AutoScalingGroupName,Value=$GROUP" --statistic "$statistic" --period 300 \\
      --evaluation-periods "$periods" --threshold "$above" --comparison-operator GreaterThanThreshold
  done`),
  inAccount(`for step in bootstrap join; do
  aws cloudwatch put-metric-alarm --region "$REGION" --alarm-name "ecs-node $CLUSTER failed $step" --namespace System/Linux \\
    --metric-name Departures --dimensions "Name=ClusterName,Value=$CLUSTER" "Name=Cause,Value=$step-failed" \\
    --statistic Sum --period 300 --evaluation-periods 1 --threshold 0 --comparison-operator GreaterThanThreshold
done`),
  inAccount(`SIZE=$(aws autoscaling describe-auto-scaling-groups --region "$REGION" --auto-scaling-group-names "$GROUP" \\
  --output text --query 'AutoScalingGroups[0].DesiredCapacity')`),
  inAccount(
    'aws autoscaling set-desired-capacity --region "$REGION" --auto-scaling-group-name "$GROUP" --desired-capacity "$((SIZE + 1))"',
  ),
  { page, how: 'node', command: 'sudo ecs-node doctor' },
  { page, how: 'node', command: `sudo ecs-node leave --reason 'first try'` },
  inAccount(`VERSION=$(aws ec2 describe-launch-templates --region "$REGION" --launch-template-ids "$TEMPLATE" \\
  --output text --query 'LaunchTemplates[0].LatestVersionNumber')`),
  notRun(
    `BATCH=$(aws autoscaling describe-auto-scaling-groups --region "$REGION" --auto-scaling-group-names "$GROUP" --output text \\
  --query "AutoScalingGroups[0].Instances[?LaunchTemplate.Version != '$VERSION'] | [:5].InstanceId")`,
    noNodes,
  ),
  notRun('echo "$BATCH"', noNodes),
  notRun(
    `for id in $BATCH; do
  node=$(aws ecs list-container-instances --region "$REGION" --cluster "$CLUSTER" --filter "ec2InstanceId == $id" \\
    --output text --query 'containerInstanceArns[0]')
  aws ecs update-container-instances-state --region "$REGION" --cluster "$CLUSTER" --container-instances "$node" --status DRAINING
done`,
    noNodes,
  ),
  notRun(
    `aws ecs list-container-instances --region "$REGION" --cluster "$CLUSTER" --status DRAINING --filter 'runningTasksCount > 0'`,
    noNodes,
  ),
  notRun(
    `for id in $BATCH; do
  aws autoscaling terminate-instance-in-auto-scaling-group --region "$REGION" --instance-id "$id" --should-decrement-desired-capacity
done`,
    noNodes,
  ),
  notRun(
    `aws autoscaling start-instance-refresh --region "$REGION" --auto-scaling-group-name "$GROUP" \\
  --preferences MinHealthyPercentage=100,MaxHealthyPercentage=100,SkipMatching=true,ScaleInProtectedInstances=Ignore,StandbyInstances=Ignore`,
    noRefresh,
  ),
  notRun('aws autoscaling cancel-instance-refresh --region "$REGION" --auto-scaling-group-name "$GROUP"', noRefresh),
  notRun(
    'aws autoscaling delete-lifecycle-hook --region "$REGION" --auto-scaling-group-name "$GROUP" --lifecycle-hook-name ecs-node-launch',
    wayBack,
  ),
  notRun(
    `aws autoscaling update-auto-scaling-group --region "$REGION" --auto-scaling-group-name "$GROUP" \\
  --launch-template "LaunchTemplateId=$TEMPLATE,Version=$BEFORE"`,
    wayBack,
  ),
  notRun(
    'aws autoscaling delete-lifecycle-hook --region "$REGION" --auto-scaling-group-name "$GROUP" --lifecycle-hook-name ecs-node-terminate',
    wayBack,
  ),
  notRun('cd examples/terraform', noProvider),
  notRun('terraform init', noProvider),
  notRun('terraform validate', noProvider),
  notRun(
    `terraform apply -var cluster=ecs-node-try -var create_cluster=true \\
  -var 'subnet_ids=["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"]' -var 'security_group_ids=["sg-0123456789abcdef0"]'`,
    noProvider,
  ),
  notRun('cd examples/cdk', inExamples),
  notRun('npm ci', inExamples),
  notRun('npx cdk bootstrap', inExamples),
  notRun('npx cdk deploy', inExamples),
];
