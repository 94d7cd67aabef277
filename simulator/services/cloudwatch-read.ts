/** CloudWatch's ListMetrics and GetMetricData, over the metrics that nodes put. */

import { Refusal } from '../refusal.ts';
import { flag, list, need, oneOf, record, text, time, whole } from '../wire/shapes.ts';
import type { MetricDatum } from '../world/state.ts';
import { takePage } from './pages.ts';
import { operation } from './service.ts';

const badToken = () => new Refusal('InvalidParameterValue', 'The parameter NextToken is invalid.');

/** CloudWatch returns this many metrics per page. */
const metricsPerPage = 500;

const recentMs = 3 * 3_600_000;

const keyOf = ({ namespace, name, dimensions }: Pick<MetricDatum, 'namespace' | 'name' | 'dimensions'>) =>
  JSON.stringify([namespace, name, Object.entries(dimensions).toSorted(([a], [b]) => (a < b ? -1 : 1))]);

const stampOf = ({ timestamp, at }: MetricDatum) => timestamp ?? at;

const ListMetrics = operation(
  {
    Namespace: text({ min: 1, max: 255 }),
    MetricName: text({ min: 1, max: 255 }),
    Dimensions: list(record({ Name: need(text({ min: 1, max: 255 })), Value: text({ min: 1, max: 1024 }) }), {
      max: 30,
    }),
    RecentlyActive: oneOf('PT3H'),
    NextToken: text(),
  },
  ({ Namespace, MetricName, Dimensions = [], RecentlyActive, NextToken }, { world }) => {
    const since = RecentlyActive === undefined ? 0 : world.clock.now() - recentMs;
    const found = world.metrics.filter(
      (datum) =>
        (Namespace === undefined || datum.namespace === Namespace) &&
        (MetricName === undefined || datum.name === MetricName) &&
        stampOf(datum) >= since &&
        Dimensions.every(({ Name, Value }) => {
          const own = datum.dimensions[Name];
          return own !== undefined && (Value === undefined || own === Value);
        }),
    );
    const metrics = [...new Map(found.map((datum) => [keyOf(datum), datum])).values()];
    const { page, next } = takePage(metrics, metricsPerPage, NextToken, badToken);
    return {
      Metrics: page.map(({ namespace, name, dimensions }) => ({
        Namespace: namespace,
        MetricName: name,
        Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
      })),
      NextToken: next,
    };
  },
);

const query = record({
  Id: need(text({ min: 1, max: 255, pattern: /^[a-z][A-Za-z0-9_]*$/ })),
  MetricStat: record({
    Metric: need(
      record({
        Namespace: text(),
        MetricName: text(),
        Dimensions: list(record({ Name: need(text()), Value: need(text()) }), { max: 30 }),
      }),
    ),
    Period: need(whole({ min: 1 })),
    Stat: need(oneOf('Maximum', 'Minimum', 'Average', 'Sum', 'SampleCount')),
    Unit: text(),
  }),
  Expression: text(),
  Label: text(),
  ReturnData: flag(),
});

type Query = NonNullable<(typeof query)['type']>;

/** CloudWatch chooses its own page size, also below the 500 that a caller may request. */
const resultsPerPage = 400;

/** CloudWatch returns this many data points per answer, unless the caller requests fewer. */
const maxPoints = 100_800;

const GetMetricData = operation(
  {
    MetricDataQueries: need(list(query, { max: 500 })),
    StartTime: need(time()),
    EndTime: need(time()),
    ScanBy: oneOf('TimestampDescending', 'TimestampAscending'),
    MaxDatapoints: whole({ min: 1, max: maxPoints }),
    NextToken: text(),
  },
  (input, { world }) => {
    const { MetricDataQueries, StartTime, EndTime, ScanBy = 'TimestampDescending', NextToken } = input;
    if (StartTime >= EndTime) {
      throw new Refusal(
        'InvalidParameterCombination',
        'The parameter StartTime must be less than the parameter EndTime.',
      );
    }
    const ids = new Set(MetricDataQueries.map(({ Id }) => Id));
    if (ids.size < MetricDataQueries.length)
      throw new Refusal('ValidationError', 'The values for parameter id are not unique.');
    const byMetric = Map.groupBy(
      world.metrics.filter((datum) => stampOf(datum) >= StartTime && stampOf(datum) < EndTime),
      keyOf,
    );
    const { page, next } = takePage(MetricDataQueries, resultsPerPage, NextToken, badToken);
    return {
      MetricDataResults: page.map((each) => resultOf(each, byMetric, ScanBy === 'TimestampAscending')),
      Messages: [],
      NextToken: next,
    };
  },
);

function resultOf({ Id, Label, MetricStat }: Query, byMetric: Map<string, MetricDatum[]>, ascending: boolean): object {
  if (!MetricStat) throw new Refusal('ValidationError', 'Expressions are not simulated.');
  const { Metric, Period, Stat } = MetricStat;
  if (Period >= 60 && Period % 60 !== 0) throw new Refusal('InvalidParameterValue', 'Period must be a multiple of 60.');
  const dimensions = Object.fromEntries((Metric.Dimensions ?? []).map(({ Name, Value }) => [Name, Value]));
  const data =
    byMetric.get(keyOf({ namespace: Metric.Namespace ?? '', name: Metric.MetricName ?? '', dimensions })) ?? [];
  const periods = Map.groupBy(data, (datum) => Math.floor(stampOf(datum) / (Period * 1000)) * Period * 1000);
  const points = [...periods].toSorted(([a], [b]) => (ascending ? a - b : b - a));
  return {
    Id,
    Label: Label ?? Metric.MetricName,
    Timestamps: points.map(([at]) => new Date(at)),
    Values: points.map(([, some]) =>
      reduce(
        some.flatMap(({ value }) => value ?? []),
        Stat,
      ),
    ),
    StatusCode: 'Complete',
  };
}

function reduce(values: readonly number[], stat: string): number {
  const sum = values.reduce((total, value) => total + value, 0);
  if (stat === 'Maximum') return Math.max(...values);
  if (stat === 'Minimum') return Math.min(...values);
  if (stat === 'Average') return sum / values.length;
  return stat === 'Sum' ? sum : values.length;
}

export const reading = { ListMetrics, GetMetricData };
