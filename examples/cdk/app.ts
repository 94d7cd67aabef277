// `npx cdk deploy` reads the cluster's name, subnets and security groups from cdk.json.

import { App } from 'aws-cdk-lib';
import { EcsNodesStack } from './ecs-nodes-stack.ts';

const app = new App();
const cluster = app.node.getContext('cluster') as string;

new EcsNodesStack(app, `${cluster}-nodes`, {
  cluster,
  createCluster: app.node.getContext('createCluster') as boolean,
  subnetIds: app.node.getContext('subnets') as string[],
  securityGroupIds: app.node.getContext('securityGroups') as string[],
});
