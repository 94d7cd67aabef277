/** CloudWatch: all metrics of a node in one call. */

import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import type { Metric, MetricsCloud } from '../../core/host.ts';
import type { Session } from './session/session.ts';

/** The maximum of one CloudWatch call. */
const maxMetrics = 1000;

export function openMetrics({ callAws, settings }: Session): MetricsCloud & { destroy(): void } {
  const client = new CloudWatchClient(settings('CLOUDWATCH'));
  return {
    destroy: () => client.destroy(),
    async publish(namespace, metrics, signal) {
      // CloudWatch refuses the whole call for one value that is not a number.
      const data = metrics.filter(({ value }) => Number.isFinite(value)).map(renderMetric);
      if (data.length === 0) return;
      if (data.length > maxMetrics)
        throw new RangeError(`${data.length} metrics in one call; CloudWatch takes ${maxMetrics}`);
      await callAws('cloudwatch:PutMetricData', `namespace ${namespace}`, signal, (options) =>
        client.send(new PutMetricDataCommand({ Namespace: namespace, MetricData: data }), options),
      );
    },
  };
}

function renderMetric({ name, value, unit, dimensions, at }: Metric) {
  return {
    MetricName: name,
    Value: value,
    Unit: unit,
    Timestamp: new Date(at),
    Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
  };
}
