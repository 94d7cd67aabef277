import { DescribeAutoScalingGroupsCommand } from '@aws-sdk/client-auto-scaling';
import {
  GetMetricDataCommand,
  ListMetricsCommand,
  PutMetricDataCommand,
  type MetricDataQuery,
} from '@aws-sdk/client-cloudwatch';
import { DescribeInstancesCommand } from '@aws-sdk/client-ec2';
import { describe, expect, it } from 'vitest';
import { clients, codeOf, open } from './stage.ts';

const Namespace = 'System/Linux';
const minute = 60_000;

async function stage() {
  const simulator = await open();
  const { cloudwatch, ec2, autoscaling } = clients(simulator);
  const put = (names: readonly string[], Value: number, ago = 0) =>
    cloudwatch.send(
      new PutMetricDataCommand({
        Namespace,
        MetricData: names.map((id) => ({
          MetricName: 'Disk',
          Value,
          Timestamp: new Date(Date.now() - ago),
          Dimensions: [{ Name: 'InstanceId', Value: id }],
        })),
      }),
    );
  const query = (id: string, Stat = 'Maximum'): MetricDataQuery => ({
    Id: id.replace('-', ''),
    MetricStat: {
      Metric: { Namespace, MetricName: 'Disk', Dimensions: [{ Name: 'InstanceId', Value: id }] },
      Period: 300,
      Stat,
    },
  });
  const read = (MetricDataQueries: MetricDataQuery[], more: object = {}) =>
    cloudwatch.send(
      new GetMetricDataCommand({
        MetricDataQueries,
        StartTime: new Date(Date.now() - 180 * minute),
        EndTime: new Date(Date.now() + minute),
        ...more,
      }),
    );
  const list = (more: object = {}) => cloudwatch.send(new ListMetricsCommand({ Namespace, ...more }));
  return { cloudwatch, ec2, autoscaling, put, query, read, list };
}

describe('metrics', () => {
  it('are listed once each, in pages of five hundred, and only recent ones on request', async () => {
    const { put, list } = await stage();
    const ids = Array.from({ length: 700 }, (_, index) => `i-${index}`);
    await put(ids, 1);
    await put(ids.slice(0, 10), 2);
    await put(['i-old'], 1, 200 * minute);
    const first = await list();
    expect([first.Metrics!.length, typeof first.NextToken]).toEqual([500, 'string']);
    const second = await list({ NextToken: first.NextToken });
    expect([second.Metrics!.length, second.NextToken]).toEqual([201, undefined]);
    const recent = await list({ RecentlyActive: 'PT3H', Dimensions: [{ Name: 'InstanceId', Value: 'i-old' }] });
    expect(recent.Metrics).toEqual([]);
    expect((await list({ Dimensions: [{ Name: 'Other' }] })).Metrics).toEqual([]);
    expect(await codeOf(list({ RecentlyActive: 'PT1H' }))).toMatch(/InvalidParameter/);
  });

  it('are read by statistic, the latest period first', async () => {
    const { put, query, read } = await stage();
    await put(['i-a'], 10, 60 * minute);
    await put(['i-a'], 30);
    await put(['i-a'], 20);
    const { MetricDataResults: [own] = [] } = await read([query('i-a')]);
    expect(own).toMatchObject({ Id: 'ia', StatusCode: 'Complete' });
    expect([own!.Values!.at(-1), Math.max(...own!.Values!)]).toEqual([10, 30]);
    expect(own!.Timestamps![0]!.getTime()).toBeGreaterThan(own!.Timestamps!.at(-1)!.getTime());
    const ascending = await read([query('i-a')], { ScanBy: 'TimestampAscending' });
    expect(ascending.MetricDataResults![0]!.Values![0]).toBe(10);
    expect((await read([query('i-none')])).MetricDataResults![0]!.Values).toEqual([]);
  });

  it('refuse what CloudWatch refuses', async () => {
    const { query, read } = await stage();
    const many = (count: number) => Array.from({ length: count }, (_, index) => query(`i-${index}`));
    expect(await codeOf(read(many(501)))).toMatch(/InvalidParameter/);
    expect(await codeOf(read([query('i-a'), query('i-a')]))).toMatch(/Validation/);
    expect(await codeOf(read([{ ...query('i-a'), Id: 'Upper' }]))).toMatch(/InvalidParameter/);
    expect(await codeOf(read(many(1), { StartTime: new Date(Date.now() + 5 * minute) }))).toMatch(/InvalidParameter/);
    const { MetricDataResults, NextToken } = await read(many(500));
    expect([MetricDataResults!.length, typeof NextToken]).toEqual([400, 'string']);
  });
});

describe('descriptions of a whole fleet', () => {
  it('take two hundred values in a filter of EC2, and fifty names of groups', async () => {
    const { ec2, autoscaling } = await stage();
    const ask = (count: number) =>
      ec2.send(
        new DescribeInstancesCommand({
          Filters: [{ Name: 'instance-id', Values: Array.from({ length: count }, (_, index) => `i-${index}`) }],
          MaxResults: 1000,
        }),
      );
    expect(await codeOf(ask(200))).toBe('ok');
    expect(await codeOf(ask(201))).toBe('FilterLimitExceeded');
    const groups = (count: number, MaxRecords?: number) =>
      autoscaling.send(
        new DescribeAutoScalingGroupsCommand({
          AutoScalingGroupNames: Array.from({ length: count }, (_, index) => `group-${index}`),
          ...(MaxRecords !== undefined && { MaxRecords }),
        }),
      );
    expect([await codeOf(groups(50)), await codeOf(groups(51)), await codeOf(groups(51, 100))]).toEqual([
      'ok',
      'ValidationError',
      'ok',
    ]);
  });
});
