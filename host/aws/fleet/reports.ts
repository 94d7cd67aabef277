/** Disk usage that the nodes reported to CloudWatch, five hundred disks a call. */

import {
  GetMetricDataCommand,
  ListMetricsCommand,
  type CloudWatchClient,
  type Metric,
  type MetricDataResult,
} from '@aws-sdk/client-cloudwatch';
import type { FleetNodes, FleetReport } from '../../../core/fleet/fleet-nodes.ts';
import type { AwsCall } from '../fault.ts';
import { everyPage, chunks } from '../pages.ts';
import { required } from './paging.ts';

/** Maximum of GetMetricData. */
const perCall = 500;

/** The only span that ListMetrics offers. It leaves out the metrics of nodes that ended earlier. */
const spanMs = 3 * 3_600_000;

/** As often as nodes publish by default (`metrics.everySeconds`). */
const periodSeconds = 300;

interface Disk {
  instanceId: string;
  metric: Metric;
}

export function openReports(client: CloudWatchClient, callAws: AwsCall): Pick<FleetNodes, 'readReports'> {
  return {
    async readReports(namespace, instanceIds, now, signal) {
      const wanted = new Set(instanceIds);
      const disks = (await listDisks(client, callAws, namespace, signal)).filter(({ instanceId }) =>
        wanted.has(instanceId),
      );
      const reports = new Map<string, FleetReport>();
      for (const some of chunks(disks, perCall)) {
        for (const { Id, Values, Timestamps } of await readData(client, callAws, some, now, signal)) {
          const instanceId = some[Number(Id?.slice(1))]?.instanceId;
          const [usedPercent] = Values ?? [];
          const [stamp] = Timestamps ?? [];
          if (instanceId === undefined || usedPercent === undefined || stamp === undefined) continue;
          keepWorst(reports, { instanceId, usedPercent, at: stamp.getTime() });
        }
      }
      return [...reports.values()];
    },
  };
}

/** The usage of the fullest disk, and the time of the latest report. */
function keepWorst(reports: Map<string, FleetReport>, report: FleetReport): void {
  const { instanceId, usedPercent, at } = report;
  const before = reports.get(instanceId) ?? report;
  const worst = { instanceId, usedPercent: Math.max(before.usedPercent, usedPercent), at: Math.max(before.at, at) };
  reports.set(instanceId, worst);
}

/** Lists the disks: the device is one of a metric's dimensions, and only CloudWatch knows it. */
async function listDisks(
  client: CloudWatchClient,
  callAws: AwsCall,
  Namespace: string,
  signal: AbortSignal,
): Promise<Disk[]> {
  const call = 'cloudwatch:ListMetrics';
  const metrics = await everyPage(async (NextToken) => {
    const answer = await callAws(call, '*', signal, (options) =>
      client.send(
        new ListMetricsCommand({
          Namespace,
          MetricName: 'DiskSpaceUtilization',
          Dimensions: [{ Name: 'InstanceId' }],
          RecentlyActive: 'PT3H',
          ...(NextToken && { NextToken }),
        }),
        options,
      ),
    );
    return { items: required(answer.Metrics, call), next: answer.NextToken };
  });
  return metrics.flatMap((metric) => {
    const instanceId = metric.Dimensions?.find(({ Name }) => Name === 'InstanceId')?.Value;
    return instanceId === undefined ? [] : [{ instanceId, metric }];
  });
}

async function readData(
  client: CloudWatchClient,
  callAws: AwsCall,
  disks: readonly Disk[],
  now: number,
  signal: AbortSignal,
): Promise<MetricDataResult[]> {
  const call = 'cloudwatch:GetMetricData';
  const MetricDataQueries = disks.map(({ metric: Metric }, index) => ({
    Id: `d${index}`,
    MetricStat: { Metric, Period: periodSeconds, Stat: 'Maximum' },
  }));
  return everyPage(async (NextToken) => {
    const answer = await callAws(call, '*', signal, (options) =>
      client.send(
        new GetMetricDataCommand({
          MetricDataQueries,
          StartTime: new Date(now - spanMs),
          EndTime: new Date(now),
          ScanBy: 'TimestampDescending',
          ...(NextToken && { NextToken }),
        }),
        options,
      ),
    );
    return { items: required(answer.MetricDataResults, call), next: answer.NextToken };
  });
}
