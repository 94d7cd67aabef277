import { DescribeAutoScalingGroupsCommand } from '@aws-sdk/client-auto-scaling';
import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { DescribeInstancesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { DescribeClustersCommand, ECSClient, StopTaskCommand } from '@aws-sdk/client-ecs';
import { DescribeStacksCommand } from '@aws-sdk/client-opsworks';
import { GetParameterCommand } from '@aws-sdk/client-ssm';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import { encode } from 'cborg';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openRealClock } from '../../simulator/clock.ts';
import { operatorCredentials } from '../../simulator/simulator.ts';
import { httpRequest, clients, codeOf, open, roleCredentials } from './stage.ts';

const datum = { MetricName: 'DiskSpaceUtilization', Value: 42.5, Unit: 'Percent' as const };

describe('signatures', () => {
  it('are checked in every protocol', async () => {
    const simulator = await open();
    const wrong = clients(simulator, { ...operatorCredentials, secretAccessKey: 'wrong' });
    expect(await codeOf(wrong.ec2.send(new DescribeInstancesCommand({})))).toBe('SignatureDoesNotMatch');
    expect(await codeOf(wrong.autoscaling.send(new DescribeAutoScalingGroupsCommand({})))).toBe(
      'SignatureDoesNotMatch',
    );
    expect(await codeOf(wrong.ecs.send(new DescribeClustersCommand({})))).toBe('InvalidSignatureException');
    const unknown = clients(simulator, { accessKeyId: 'AKIDNOBODY', secretAccessKey: 'x' });
    expect(await codeOf(unknown.ec2.send(new DescribeInstancesCommand({})))).toBe('AuthFailure');
    expect(await codeOf(unknown.autoscaling.send(new DescribeAutoScalingGroupsCommand({})))).toBe(
      'InvalidClientTokenId',
    );
    expect(await codeOf(unknown.opsworks.send(new DescribeStacksCommand({})))).toBe('UnrecognizedClientException');
  });

  it('are demanded', async () => {
    const { endpoint } = await open();
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const ec2 = await httpRequest(endpoint, 'POST', form, 'Action=DescribeInstances&Version=2016-11-15');
    expect(ec2).toMatchObject({ status: 403, body: expect.stringContaining('MissingAuthenticationToken') });
    const target = { 'x-amz-target': 'AmazonSSM.GetParameter', 'content-type': 'application/x-amz-json-1.1' };
    const ssm = await httpRequest(endpoint, 'POST', target, '{}');
    expect(ssm).toMatchObject({ status: 400, body: expect.stringContaining('MissingAuthenticationTokenException') });
  });

  it('of a role name the calling instance, and need its token', async () => {
    const simulator = await open();
    const { id } = await simulator.verbs.launch();
    const credentials = await roleCredentials(simulator, id);
    await clients(simulator, credentials).ecs.send(new DescribeClustersCommand({ clusters: ['demo'] }));
    expect(simulator.calls.find({ service: 'ecs' })).toMatchObject([
      { operation: 'DescribeClusters', instanceId: id, outcome: 'ok', params: { clusters: ['demo'] } },
    ]);
    const { accessKeyId, secretAccessKey } = credentials;
    const tokenless = clients(simulator, { accessKeyId, secretAccessKey });
    expect(await codeOf(tokenless.ecs.send(new DescribeClustersCommand({})))).toBe('UnrecognizedClientException');
  });

  it('of another region or of an old date are refused', async () => {
    const { endpoint } = await open({ region: 'eu-west-1' });
    const config = { endpoint, region: 'us-east-1', credentials: operatorCredentials, maxAttempts: 1 };
    const ecs = new ECSClient(config);
    const late = new EC2Client({ ...config, region: 'eu-west-1', systemClockOffset: -3_600_000 });
    onTestFinished(() => [ecs, late].forEach((client) => client.destroy()));
    expect(await codeOf(ecs.send(new DescribeClustersCommand({})))).toBe('InvalidSignatureException');
    const error: Error = await late.send(new DescribeInstancesCommand({})).then(
      () => new Error('accepted'),
      (reason: Error) => reason,
    );
    expect(error.message).toMatch(/^Signature expired/);
  });

  it("are refused to a caller whose clock is wrong, until it has read AWS's in the answer", async () => {
    const real = openRealClock();
    onTestFinished(() => real.stop());
    const simulator = await open({ clock: { ...real, now: () => Date.now() + 3_600_000 } });
    const ecs = new ECSClient({
      endpoint: simulator.endpoint,
      region: simulator.region,
      credentials: operatorCredentials,
    });
    onTestFinished(() => ecs.destroy());
    await ecs.send(new DescribeClustersCommand({}));
    expect(simulator.calls.list.map(({ outcome }) => outcome)).toEqual(['InvalidSignatureException', 'ok']);
    const { id } = await simulator.verbs.launch();
    const { headers } = await fetch(`${simulator.imdsEndpoint(id)}/latest/meta-data/instance-id`);
    expect(Math.abs(Date.parse(headers.get('date')!) - Date.now() - 3_600_000)).toBeLessThan(60_000);
  });
});

describe('inputs', () => {
  it('are refused in the words of each service when something is missing', async () => {
    const { ec2, autoscaling, ecs, ssm, opsworks, cloudwatch } = clients(await open());
    const none = {} as never;
    const { DescribeInstanceAttributeCommand } = await import('@aws-sdk/client-ec2');
    const { DescribeLifecycleHooksCommand } = await import('@aws-sdk/client-auto-scaling');
    const { AssignInstanceCommand } = await import('@aws-sdk/client-opsworks');
    expect(await codeOf(ec2.send(new DescribeInstanceAttributeCommand(none)))).toBe('MissingParameter');
    expect(await codeOf(autoscaling.send(new DescribeLifecycleHooksCommand(none)))).toBe('ValidationError');
    expect(await codeOf(ecs.send(new StopTaskCommand(none)))).toBe('InvalidParameterException');
    expect(await codeOf(ssm.send(new GetParameterCommand(none)))).toBe('ValidationException');
    expect(await codeOf(opsworks.send(new AssignInstanceCommand(none)))).toBe('ValidationException');
    expect(await codeOf(cloudwatch.send(new PutMetricDataCommand(none)))).toBe('MissingParameter');
  });

  it('of the wrong type are refused', async () => {
    const { ecs, autoscaling } = clients(await open());
    expect(await codeOf(ecs.send(new DescribeClustersCommand({ clusters: [7 as never] })))).toBe(
      'SerializationException',
    );
    const many = Array.from({ length: 101 }, () => 'x');
    expect(await codeOf(ecs.send(new DescribeClustersCommand({ clusters: many })))).toBe('InvalidParameterException');
    expect(await codeOf(autoscaling.send(new DescribeAutoScalingGroupsCommand({ MaxRecords: 500 })))).toBe(
      'ValidationError',
    );
  });
});

describe('CloudWatch', () => {
  it('takes metrics as the SDK sends them, also compressed', async () => {
    const simulator = await open();
    const { endpoint, region } = simulator;
    const small = { endpoint, region, credentials: operatorCredentials, requestMinCompressionSizeBytes: 10 };
    const compressing = new CloudWatchClient(small);
    onTestFinished(() => compressing.destroy());
    const Dimensions = [{ Name: 'MountPath', Value: '/' }];
    const Timestamp = new Date();
    await compressing.send(
      new PutMetricDataCommand({ Namespace: 'System/Linux', MetricData: [{ ...datum, Dimensions, Timestamp }] }),
    );
    expect(simulator.world.metrics).toMatchObject([
      {
        namespace: 'System/Linux',
        name: 'DiskSpaceUtilization',
        value: 42.5,
        unit: 'Percent',
        dimensions: { MountPath: '/' },
        timestamp: Math.trunc(Timestamp.getTime()),
      },
    ]);
  });

  it('takes the query protocol and CBOR', async () => {
    const simulator = await open();
    const form =
      'Action=PutMetricData&Version=2010-08-01&Namespace=N&MetricData.member.1.MetricName=m&MetricData.member.1.Value=1.5';
    const query = await signed(simulator.endpoint, '/', 'application/x-www-form-urlencoded', Buffer.from(form));
    expect(query).toMatchObject({ status: 200, body: expect.stringContaining('<PutMetricDataResponse') });
    const body = encode({ Namespace: 'N', MetricData: [{ MetricName: 'm', Value: 2.5 }] });
    const path = '/service/GraniteServiceVersion20100801/operation/PutMetricData';
    expect(await signed(simulator.endpoint, path, 'application/cbor', Buffer.from(body))).toMatchObject({
      status: 200,
    });
    const gzip = await signed(simulator.endpoint, path, 'application/cbor', gzipSync(body), 'gzip');
    expect(gzip).toMatchObject({ status: 200 });
    expect(simulator.world.metrics.map(({ value }) => value)).toEqual([1.5, 2.5, 2.5]);
  });

  it('refuses what is over its limits', async () => {
    const { cloudwatch } = clients(await open());
    const put = (Namespace: string, ...MetricData: object[]) =>
      codeOf(cloudwatch.send(new PutMetricDataCommand({ Namespace, MetricData: MetricData as never })));
    expect(await put('AWS/EC2', datum)).toBe('InvalidParameterValue');
    expect(await put('N', { ...datum, Value: Number.NaN })).toBe('InvalidParameterValue');
    expect(await put('N', { MetricName: 'm' })).toBe('MissingParameter');
    expect(await put('N', { ...datum, Values: [1] })).toBe('InvalidParameterCombination');
    expect(await put('N', { ...datum, Timestamp: new Date(Date.now() - 15 * 86_400_000) })).toBe(
      'InvalidParameterValue',
    );
    expect(await put('N', ...Array.from({ length: 1001 }, () => datum))).toBe('InvalidParameterValue');
    const Dimensions = Array.from({ length: 31 }, (_, index) => ({ Name: `d${index}`, Value: 'x' }));
    expect(await put('N', { ...datum, Dimensions })).toBe('InvalidParameterValue');
    expect(await put('N', ...Array.from({ length: 1000 }, () => datum))).toBe('ok');
  });
});

async function signed(endpoint: string, path: string, type: string, body: Buffer, encoding?: string) {
  const { hostname, port, host } = new URL(endpoint);
  const signer = new SignatureV4({
    credentials: operatorCredentials,
    region: 'us-east-1',
    service: 'monitoring',
    sha256: Sha256,
  });
  const { headers } = await signer.sign({
    method: 'POST',
    protocol: 'http:',
    path,
    hostname,
    port: Number(port),
    query: {},
    headers: { host, 'content-type': type, ...(encoding && { 'content-encoding': encoding }) },
    body,
  });
  return httpRequest(endpoint + path, 'POST', headers, body as never);
}
