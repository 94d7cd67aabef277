// 7. Events and alarms. Events are kept for 90 days, and `ecs-node fleet --history` prints them.

import {
  RemovalPolicy,
  type Stack,
  aws_cloudwatch as cloudwatch,
  aws_events as events,
  aws_logs as logs,
} from 'aws-cdk-lib';

interface Watched {
  readonly metric: string;
  readonly dimensions: Record<string, string>;
  readonly statistic: 'Maximum' | 'Sum';
  readonly periods: number;
  readonly above: number;
}

/** By name; nodes publish each metric every five minutes. */
function alarmsOf(cluster: string, group: string): Record<string, Watched> {
  const ofGroup = { AutoScalingGroupName: group };
  const departures = (cause: string): Watched => {
    const dimensions = { ClusterName: cluster, Cause: cause };
    return { metric: 'Departures', dimensions, statistic: 'Sum', periods: 1, above: 0 };
  };
  return {
    disk: { metric: 'DiskSpaceUtilization', dimensions: ofGroup, statistic: 'Maximum', periods: 2, above: 85 },
    inodes: { metric: 'DiskInodesUtilization', dimensions: ofGroup, statistic: 'Maximum', periods: 2, above: 85 },
    'launch hook': { metric: 'LaunchHookNotCompleted', dimensions: ofGroup, statistic: 'Sum', periods: 2, above: 0 },
    'storm guard': { metric: 'BootstrapHeld', dimensions: ofGroup, statistic: 'Sum', periods: 1, above: 0 },
    upkeep: { metric: 'UpkeepFailing', dimensions: ofGroup, statistic: 'Maximum', periods: 12, above: 0 },
    'failed bootstrap': departures('bootstrap-failed'),
    'failed join': departures('join-failed'),
  };
}

export function addEvents(stack: Stack, cluster: string): void {
  const log = new logs.CfnLogGroup(stack, 'EventLog', {
    logGroupName: `/ecs-node/${cluster}/events`,
    retentionInDays: 90,
  });
  log.applyRemovalPolicy(RemovalPolicy.DESTROY);
  const arn = `arn:${stack.partition}:logs:${stack.region}:${stack.account}:log-group:${log.ref}`;
  // An account may have ten such policies.
  new logs.CfnResourcePolicy(stack, 'EventLogPolicy', {
    policyName: `ecs-node-${cluster}-events`,
    policyDocument: stack.toJsonString({
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: { Service: ['events.amazonaws.com', 'delivery.logs.amazonaws.com'] },
          Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
          Resource: `${arn}:*`,
        },
      ],
    }),
  });
  new events.CfnRule(stack, 'EventsToLog', {
    name: `ecs-node-${cluster}-events`,
    eventPattern: { source: ['ecs-node'], detail: { cluster: [cluster] } },
    targets: [{ id: 'log', arn }],
  });
}

export function addAlarms(stack: Stack, cluster: string, group: string, topicArn?: string): void {
  for (const [name, watched] of Object.entries(alarmsOf(cluster, group)))
    new cloudwatch.CfnAlarm(stack, `Alarm ${name}`, {
      // Two groups of a cluster share the alarms on departures, and no others.
      alarmName: [
        'ecs-node',
        cluster,
        ...Object.values(watched.dimensions).filter((value) => value === group),
        name,
      ].join(' '),
      alarmDescription: 'docs/runbook.md of ecs-node, "By alarm", says what to do.',
      namespace: 'System/Linux',
      metricName: watched.metric,
      dimensions: Object.entries(watched.dimensions).map(([key, value]) => ({ name: key, value })),
      statistic: watched.statistic,
      period: 300,
      evaluationPeriods: watched.periods,
      comparisonOperator: 'GreaterThanThreshold',
      threshold: watched.above,
      treatMissingData: 'notBreaching',
      ...(topicArn === undefined ? {} : { alarmActions: [topicArn] }),
    });
}
