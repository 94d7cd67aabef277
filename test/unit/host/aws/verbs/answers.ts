/** Answers that several verbs read. */

import { self } from '../aws.ts';

export const patient = new AbortController().signal;
export const arn = 'arn:aws:ecs:us-east-1:123456789012:container-instance/demo/1';

export const own = {
  containerInstanceArn: arn,
  ec2InstanceId: self,
  status: 'ACTIVE',
  agentConnected: true,
  runningTasksCount: 2,
};
