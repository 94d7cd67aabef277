/** The metrics that alarms watch, as each example says them. */

import { readTemplate } from '../cloudformation/rig/template.ts';
import { withDefaults } from './group-facts.ts';

export interface WatchedMetric {
  metric: string;
  dimensions: Record<string, string>;
  statistic: string;
  periods: number;
  above: number;
}

interface Alarm {
  Type: string;
  Properties: Stat & {
    EvaluationPeriods: number;
    Threshold: number;
    ComparisonOperator: string;
    Metrics?: { MetricStat?: { Metric: Stat; Stat: string } }[];
  };
}

interface Stat {
  MetricName: string;
  Dimensions: { Name: string; Value: string }[];
  Statistic: string;
}

/** The metrics of the alarms of a CloudFormation template whose functions are resolved. */
export function watchedBy(resources: Record<string, unknown>): WatchedMetric[] {
  const alarms = Object.values(resources as Record<string, Alarm>);
  return alarms
    .filter(({ Type }) => Type === 'AWS::CloudWatch::Alarm')
    .flatMap(({ Properties }) => metricsOf(Properties));
}

function metricsOf(alarm: Alarm['Properties']): WatchedMetric[] {
  const { EvaluationPeriods: periods, Threshold, ComparisonOperator } = alarm;
  // "At least 1" of a whole number is "above 0".
  const above = Number(Threshold) - (ComparisonOperator === 'GreaterThanOrEqualToThreshold' ? 1 : 0);
  const { Metrics = [] } = alarm;
  const combined = Metrics.flatMap(({ MetricStat }) =>
    MetricStat ? [{ ...MetricStat.Metric, Statistic: MetricStat.Stat }] : [],
  );
  // CloudWatch answers with an empty list for an alarm on one metric.
  const stats = Metrics.length === 0 ? [alarm] : combined;
  return stats.map(({ MetricName: metric, Dimensions, Statistic: statistic }) => {
    const dimensions = Object.fromEntries(Dimensions.map(({ Name, Value }) => [Name, Value]));
    return { metric, dimensions, statistic, periods, above };
  });
}

/** Those of cloudformation/cluster.yaml for a cluster and a group. */
export function watchedByTemplate(cluster: string, group: string): WatchedMetric[] {
  const { Resources, Parameters } = readTemplate();
  const values = Object.fromEntries(Object.entries(Parameters).map(([name, { Default }]) => [name, Default]));
  const filled = withDefaults(Resources, { ...values, Cluster: cluster, NodeGroup: group });
  return sorted(watchedBy(filled as Record<string, unknown>));
}

export function sorted(metrics: WatchedMetric[]): WatchedMetric[] {
  const key = ({ metric, dimensions }: WatchedMetric) =>
    metric + JSON.stringify(dimensions, ['AutoScalingGroupName', 'ClusterName', 'Cause']);
  return metrics.toSorted((one, other) => key(one).localeCompare(key(other)));
}
