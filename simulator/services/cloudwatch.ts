/**
 * CloudWatch's PutMetricData with its limits, and STS's GetCallerIdentity. cloudwatch-read.ts has
 * the reading operations.
 */

import { Refusal } from '../refusal.ts';
import { flag, list, map, need, number, oneOf, record, text, time, whole } from '../wire/shapes.ts';
import { cloudwatchComplaints, denied, throttled, validationComplaints } from './dialects.ts';
import { reading } from './cloudwatch-read.ts';
import { operation, type Service } from './service.ts';

const units = (
  'Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits Megabits Gigabits Terabits ' +
  'Percent Count Bytes/Second Kilobytes/Second Megabytes/Second Gigabytes/Second Terabytes/Second Bits/Second Kilobits/Second ' +
  'Megabits/Second Gigabits/Second Terabits/Second Count/Second None'
).split(' ');

const datum = record({
  MetricName: need(text({ min: 1, max: 255 })),
  Dimensions: list(
    record({ Name: need(text({ min: 1, max: 255, pattern: /^[^:]/ })), Value: need(text({ min: 1, max: 1024 })) }),
    { max: 30 },
  ),
  Timestamp: time(),
  Value: number(),
  Values: list(number(), { max: 150 }),
  Counts: list(number(), { max: 150 }),
  StatisticValues: record({
    SampleCount: need(number()),
    Sum: need(number()),
    Minimum: need(number()),
    Maximum: need(number()),
  }),
  Unit: oneOf(...units),
  StorageResolution: whole({ min: 1 }),
});

type Datum = NonNullable<(typeof datum)['type']>;

const day = 86_400_000;

/** The SDK may gzip the body, but AWS limits its unpacked size to this. */
export const maxBodyBytes = 1024 * 1024;

/** Enough for the checks after a long run. */
const keep = 100_000;

const PutMetricData = operation(
  {
    Namespace: need(text({ min: 1, max: 255, pattern: /^[^:]/ })),
    MetricData: list(datum, { max: 1000 }),
    EntityMetricData: list(map()),
    StrictEntityValidation: flag(),
  },
  ({ Namespace, MetricData }, { world, caller }) => {
    if (Namespace.startsWith('AWS/')) {
      throw new Refusal('InvalidParameterValue', `The value AWS/ for parameter Namespace is invalid.`);
    }
    if (!MetricData || MetricData.length === 0) {
      throw new Refusal('MissingParameter', 'The parameter MetricData is required.');
    }
    const now = world.clock.now();
    MetricData.forEach((each, index) => checkDatum(each, `MetricData.member.${index + 1}`, now));
    if (world.metrics.length > keep) world.metrics.splice(0, keep / 2);
    for (const { MetricName, Dimensions = [], Value, Unit, Timestamp } of MetricData) {
      world.metrics.push({
        at: now,
        namespace: Namespace,
        name: MetricName,
        dimensions: Object.fromEntries(Dimensions.map((dimension) => [dimension.Name, dimension.Value])),
        value: Value,
        unit: Unit,
        timestamp: Timestamp,
        instanceId: caller?.id,
      });
    }
  },
  ({ Namespace }) => [{ context: { 'cloudwatch:namespace': Namespace } }],
);

function checkDatum(datumGiven: Datum, path: string, now: number): void {
  const { Value, Values, Counts, StatisticValues, Timestamp, StorageResolution, Dimensions = [] } = datumGiven;
  const refuse = (code: string, message: string) => {
    throw new Refusal(code, message);
  };
  const given = [Value, Values, StatisticValues].filter((each) => each !== undefined).length;
  if (given === 0) refuse('MissingParameter', `The parameter ${path}.Value is required.`);
  if (given > 1) {
    refuse('InvalidParameterCombination', `${path}: Value, Values and StatisticValues are mutually exclusive.`);
  }
  const numbers = [Value, ...(Values ?? []), ...Object.values(StatisticValues ?? {})];
  for (const value of numbers) {
    if (value === undefined) continue;
    if (!Number.isFinite(value))
      refuse('InvalidParameterValue', `The value ${value} for parameter ${path}.Value is invalid.`);
    if (value !== 0 && (Math.abs(value) > 2 ** 360 || Math.abs(value) < 2 ** -360)) {
      refuse('InvalidParameterValue', `The value ${value} for parameter ${path}.Value is out of range.`);
    }
  }
  if (Counts && Counts.length !== Values?.length) {
    refuse('InvalidParameterCombination', `${path}: Counts and Values must have the same number of elements.`);
  }
  if (Timestamp !== undefined && (Timestamp < now - 14 * day || Timestamp > now + 2 * 3_600_000)) {
    refuse(
      'InvalidParameterValue',
      `The parameter ${path}.Timestamp must specify a time within the past two weeks and two hours.`,
    );
  }
  if (StorageResolution !== undefined && StorageResolution !== 1 && StorageResolution !== 60) {
    refuse('InvalidParameterValue', `The parameter ${path}.StorageResolution must be 1 or 60.`);
  }
  const names = Dimensions.map(({ Name }) => Name);
  if (new Set(names).size < names.length) {
    refuse('InvalidParameterValue', `The parameter ${path}.Dimensions has a name twice.`);
  }
}

export const cloudwatch: Service = {
  id: 'cloudwatch',
  signingName: 'monitoring',
  iam: 'cloudwatch',
  protocol: 'query',
  version: '2010-08-01',
  namespace: 'http://monitoring.amazonaws.com/doc/2010-08-01/',
  complain: cloudwatchComplaints,
  throttle: throttled('Throttling', 400),
  deny: denied('AccessDenied', 403),
  operations: { PutMetricData, ...reading },
};

export const sts: Service = {
  id: 'sts',
  signingName: 'sts',
  iam: 'sts',
  protocol: 'query',
  version: '2011-06-15',
  namespace: 'https://sts.amazonaws.com/doc/2011-06-15/',
  complain: validationComplaints('ValidationError'),
  throttle: throttled('Throttling', 400),
  deny: denied('AccessDenied', 403),
  operations: {
    GetCallerIdentity: operation({}, (_input, { world, caller }) => {
      const { accountId: Account } = world;
      if (!caller) return { Account, Arn: `arn:aws:iam::${Account}:user/operator`, UserId: 'AIDASIMULATOROPERATOR' };
      const Arn = `arn:aws:sts::${Account}:assumed-role/${caller.role}/${caller.id}`;
      return { Account, Arn, UserId: `AROASIMULATORROLE0000:${caller.id}` };
    }),
  },
};
