import {
  CreateTagsCommand,
  DeleteTagsCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  DescribeTagsCommand,
  ModifyInstanceAttributeCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import {
  DeregisterInstancesFromLoadBalancerCommand,
  DescribeInstanceHealthCommand,
  RegisterInstancesWithLoadBalancerCommand,
} from '@aws-sdk/client-elastic-load-balancing';
import {
  DeregisterTargetsCommand,
  DescribeTargetGroupAttributesCommand,
  DescribeTargetHealthCommand,
  RegisterTargetsCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { DescribeClustersCommand, UpdateContainerInstancesStateCommand } from '@aws-sdk/client-ecs';
import { PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { fromInstanceMetadata } from '@aws-sdk/credential-providers';
import {
  DescribeInstanceInformationCommand,
  GetConnectionStatusCommand,
  GetParameterCommand,
  GetParametersByPathCommand,
} from '@aws-sdk/client-ssm';
import { describe, expect, it, onTestFinished } from 'vitest';
import { waitFor } from '../../simulator/wait-for.ts';
import { httpRequest, clients, codeOf, imdsToken, metadata, open, roleCredentials } from './stage.ts';
import { parseConfig } from '../../config/config.ts';
import { policyFor } from '../../iam/policy.ts';

async function stage(options: object = {}) {
  const simulator = await open();
  const { id } = await simulator.verbs.launch(options);
  return { simulator, id, ...clients(simulator) };
}

describe('instance metadata', () => {
  it('are version 2 only', async () => {
    const { simulator, id } = await stage();
    const base = simulator.imdsEndpoint(id);
    expect((await httpRequest(`${base}/latest/meta-data/instance-id`)).status).toBe(401);
    expect((await httpRequest(`${base}/latest/api/token`, 'PUT')).status).toBe(400);
    expect(await metadata(base, 'meta-data/instance-id')).toEqual({ status: 200, body: id });
    const token = await imdsToken(base);
    const header = { 'x-aws-ec2-metadata-token': `${token}x` };
    expect((await httpRequest(`${base}/latest/meta-data/instance-id`, 'GET', header)).status).toBe(401);
  });

  it('announce coming events, and answer 404 before', async () => {
    const { simulator, id } = await stage({ purchase: 'spot', tags: { 'ecs-node:cluster': 'demo', 'a b': 'c' } });
    const { verbs } = simulator;
    const read = (path: string) => metadata(simulator.imdsEndpoint(id), `meta-data/${path}`);
    for (const path of [
      'spot/instance-action',
      'events/recommendations/rebalance',
      'autoscaling/target-lifecycle-state',
    ]) {
      expect((await read(path)).status).toBe(404);
    }
    expect((await read('events/maintenance/scheduled')).body).toBe('[]');
    verbs.noticeSpot(id, 'terminate', 150);
    verbs.recommendRebalance(id);
    const eventId = verbs.scheduleMaintenance(id, {
      code: 'instance-retirement',
      notBefore: Date.UTC(2030, 0, 21, 9, 0, 43),
    });
    expect(JSON.parse((await read('spot/instance-action')).body)).toMatchObject({ action: 'terminate' });
    expect(JSON.parse((await read('events/recommendations/rebalance')).body)).toMatchObject({
      noticeTime: expect.stringMatching(/Z$/),
    });
    expect(JSON.parse((await read('events/maintenance/scheduled')).body)).toMatchObject([
      { EventId: eventId, Code: 'instance-retirement', NotBefore: '21 Jan 2030 09:00:43 GMT', State: 'active' },
    ]);
    expect((await read('tags/instance/')).body).toBe('ecs-node:cluster');
    expect((await read('tags/instance/ecs-node:cluster')).body).toBe('demo');
    await waitFor('reclaimed', () => simulator.world.instances.get(id)!.state === 'terminated');
  });

  it('misbehave on command', async () => {
    const { simulator, id } = await stage();
    const base = simulator.imdsEndpoint(id);
    await simulator.verbs.setMetadata(id, { html: true });
    expect((await httpRequest(`${base}/latest/meta-data/instance-id`)).body).toContain('<html>');
    await simulator.verbs.setMetadata(id, { html: false, always401: true });
    expect((await metadata(base, 'meta-data/instance-id')).status).toBe(401);
    await simulator.verbs.setMetadata(id, { always401: false, tags: false, down: true });
    await expect(httpRequest(`${base}/latest/meta-data/`)).rejects.toThrow('ECONNREFUSED');
    await simulator.verbs.setMetadata(id, { down: false });
    expect((await metadata(base, 'meta-data/tags/instance/')).status).toBe(404);
  });

  it('give the SDK its credentials', async () => {
    const { simulator, id } = await stage();
    const before = process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'];
    process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] = simulator.imdsEndpoint(id);
    onTestFinished(() => void (process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] = before ?? ''));
    const credentials = await fromInstanceMetadata({ ec2MetadataV1Disabled: true })();
    expect(credentials).toMatchObject({ accessKeyId: expect.stringMatching(/^ASIA/) });
    const { ecs } = clients(simulator, credentials);
    expect(await codeOf(ecs.send(new DescribeClustersCommand({})))).toBe('ok');
  });
});

describe('EC2', () => {
  it('filters and pages instances', async () => {
    const { simulator, id, ec2 } = await stage({ tags: { Name: 'one' } });
    for (let count = 0; count < 6; count++) await simulator.verbs.launch({ tags: { Name: 'other' } });
    const find = async (Name: string, ...Values: string[]) =>
      (await ec2.send(new DescribeInstancesCommand({ Filters: [{ Name, Values }] }))).Reservations!.length;
    expect(await find('tag:Name', 'o*')).toBe(7);
    expect(await find('tag:Name', 'one')).toBe(1);
    expect(await find('instance-id', id)).toBe(1);
    expect(await find('instance-state-name', 'stopped')).toBe(0);
    expect(await codeOf(find('colour', 'red'))).toBe('InvalidParameterValue');
    const first = await ec2.send(new DescribeInstancesCommand({ MaxResults: 5 }));
    expect(first.Reservations).toHaveLength(5);
    const second = await ec2.send(new DescribeInstancesCommand({ MaxResults: 5, NextToken: first.NextToken! }));
    expect(second).toMatchObject({ Reservations: { length: 2 } });
    const [instance] = first.Reservations![0]!.Instances!;
    expect(instance).toMatchObject({ InstanceId: id, State: { Name: 'running' }, LaunchTime: expect.any(Date) });
    const unknown = new DescribeInstancesCommand({ InstanceIds: ['i-00000000000000000'] });
    expect(await codeOf(ec2.send(unknown))).toBe('InvalidInstanceID.NotFound');
    expect(await codeOf(ec2.send(new DescribeInstancesCommand({ InstanceIds: ['x'] })))).toBe(
      'InvalidInstanceID.Malformed',
    );
  });

  it('tags, within its limits', async () => {
    const { id, ec2 } = await stage();
    const tag = (Key: string, Value = 'v') =>
      codeOf(ec2.send(new CreateTagsCommand({ Resources: [id], Tags: [{ Key, Value }] })));
    expect(await tag('Name', 'a <b> & "c"')).toBe('ok');
    expect(await tag('aws:mine')).toBe('InvalidParameterValue');
    const Tags = Array.from({ length: 50 }, (_, index) => ({ Key: `k${index}`, Value: '' }));
    expect(await codeOf(ec2.send(new CreateTagsCommand({ Resources: [id], Tags })))).toBe('TagLimitExceeded');
    const list = async () =>
      (await ec2.send(new DescribeTagsCommand({ Filters: [{ Name: 'resource-id', Values: [id] }] }))).Tags;
    expect(await list()).toEqual([{ Key: 'Name', Value: 'a <b> & "c"', ResourceId: id, ResourceType: 'instance' }]);
    await ec2.send(new DeleteTagsCommand({ Resources: [id], Tags: [{ Key: 'Name' }] }));
    expect(await list()).toEqual([]);
  });

  it('protects from termination, and dry runs change nothing', async () => {
    const { simulator, id, ec2 } = await stage();
    const protect = (Value: boolean) =>
      ec2.send(new ModifyInstanceAttributeCommand({ InstanceId: id, DisableApiTermination: { Value } }));
    const end = (DryRun = false) => codeOf(ec2.send(new TerminateInstancesCommand({ InstanceIds: [id], DryRun })));
    await protect(true);
    const { DisableApiTermination } = await ec2.send(
      new DescribeInstanceAttributeCommand({ InstanceId: id, Attribute: 'disableApiTermination' }),
    );
    expect(DisableApiTermination).toEqual({ Value: true });
    expect(await end()).toBe('OperationNotPermitted');
    await protect(false);
    expect(await end(true)).toBe('DryRunOperation');
    expect(simulator.world.instances.get(id)!.state).toBe('running');
    expect(await end()).toBe('ok');
    expect(await codeOf(ec2.send(new StopInstancesCommand({ InstanceIds: [id] })))).toBe('IncorrectInstanceState');
  });
});

describe('a role’s policy', () => {
  const self = 'arn:aws:ec2:us-east-1:123456789012:instance/*';

  it('of "ecs-node policy" lets a node read, tag, unprotect and terminate only itself', async () => {
    const { simulator, id } = await stage();
    const { id: other } = await simulator.verbs.launch();
    const place = { partition: 'aws', region: 'us-east-1', account: '123456789012', group: '*' };
    simulator.verbs.setPolicy(id, policyFor(parseConfig({ cluster: 'demo', terminationProtection: 'clear' }), place));
    const { ec2 } = clients(simulator, await roleCredentials(simulator, id));
    const codesFor = async (InstanceId: string) => [
      await codeOf(ec2.send(new DescribeInstanceAttributeCommand({ InstanceId, Attribute: 'disableApiTermination' }))),
      await codeOf(ec2.send(new CreateTagsCommand({ Resources: [InstanceId], Tags: [{ Key: 'Name', Value: 'x' }] }))),
      await codeOf(
        ec2.send(new ModifyInstanceAttributeCommand({ InstanceId, DisableApiTermination: { Value: false } })),
      ),
      await codeOf(ec2.send(new TerminateInstancesCommand({ InstanceIds: [InstanceId], DryRun: true }))),
    ];
    expect(await codesFor(id)).toEqual(['ok', 'ok', 'ok', 'DryRunOperation']);
    expect(await codesFor(other)).toEqual(Array.from({ length: 4 }, () => 'UnauthorizedOperation'));
  });

  it('with an undocumented key allows nothing, and one with a variable for a whole ARN is refused', async () => {
    const { simulator, id } = await stage();
    const allow = (more: object) => ({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 'ec2:CreateTags', Resource: self, ...more }],
    });
    simulator.verbs.setPolicy(id, allow({ Condition: { StringEquals: { 'aws:ARN': '${ec2:SourceInstanceARN}' } } }));
    const { ec2 } = clients(simulator, await roleCredentials(simulator, id));
    const tag = new CreateTagsCommand({ Resources: [id], Tags: [{ Key: 'Name', Value: 'x' }] });
    expect(await codeOf(ec2.send(tag))).toBe('UnauthorizedOperation');
    expect(() => simulator.verbs.setPolicy(id, allow({ Resource: '${ec2:SourceInstanceARN}' }))).toThrow(/Malformed/);
  });

  it('limits a node to itself', async () => {
    const { simulator, id } = await stage();
    const { id: other } = await simulator.verbs.launch();
    simulator.verbs.setPolicy(id, {
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Action: ['ec2:CreateTags', 'ec2:TerminateInstances'],
          Resource: self,
          Condition: { ArnEquals: { 'aws:ResourceArn': 'x' } },
        },
        {
          Effect: 'Allow',
          Action: 'ec2:CreateTags',
          Resource: 'arn:aws:ec2:*:*:instance/*',
          Condition: {
            ArnEquals: { 'ec2:SourceInstanceARN': 'arn:aws:ec2:*:*:instance/${ec2:InstanceID}' },
            'ForAllValues:StringEquals': { 'aws:TagKeys': ['Name'] },
          },
        },
        {
          Effect: 'Allow',
          Action: 'ec2:TerminateInstances',
          Resource: self,
          Condition: { StringLike: { 'aws:userid': '*:${ec2:InstanceID}' } },
        },
        {
          Effect: 'Allow',
          Action: 'cloudwatch:PutMetricData',
          Resource: '*',
          Condition: { StringEquals: { 'cloudwatch:namespace': 'System/Linux' } },
        },
      ],
    });
    const { ec2, ecs, cloudwatch } = clients(simulator, await roleCredentials(simulator, id));
    const tag = (instance: string, Key: string) =>
      codeOf(ec2.send(new CreateTagsCommand({ Resources: [instance], Tags: [{ Key, Value: 'x' }] })));
    expect(await tag(id, 'Name')).toBe('ok');
    expect(await tag(id, 'Other')).toBe('UnauthorizedOperation');
    expect(await tag(other, 'Name')).toBe('UnauthorizedOperation');
    const end = (instance: string) =>
      codeOf(ec2.send(new TerminateInstancesCommand({ InstanceIds: [instance], DryRun: true })));
    expect(await end(id)).toBe('DryRunOperation');
    expect(await end(other)).toBe('UnauthorizedOperation');
    expect(await codeOf(ecs.send(new DescribeClustersCommand({})))).toBe('AccessDeniedException');
    const put = (Namespace: string) =>
      codeOf(cloudwatch.send(new PutMetricDataCommand({ Namespace, MetricData: [{ MetricName: 'm', Value: 1 }] })));
    expect(await put('System/Linux')).toBe('ok');
    expect(await put('Other')).toBe('AccessDenied');
  });

  it('is refused when IAM would refuse it', async () => {
    const { simulator, id } = await stage();
    const statement = { Effect: 'Allow', Action: 'ec2:*', Resource: '*', Condition: { StringSort: { a: 'b' } } };
    expect(() => simulator.verbs.setPolicy(id, { Version: '2012-10-17', Statement: [statement] })).toThrow(
      'StringSort',
    );
  });
});

describe('Systems Manager', () => {
  it('sees an instance after a while, and has parameters', async () => {
    const { id, ssm } = await stage();
    const list = async () =>
      (await ssm.send(new DescribeInstanceInformationCommand({ Filters: [{ Key: 'InstanceIds', Values: [id] }] })))
        .InstanceInformationList!;
    await waitFor('online', async () => (await list())[0]?.PingStatus === 'Online');
    const { Status } = await ssm.send(new GetConnectionStatusCommand({ Target: id }));
    expect(Status).toBe('connected');
    const Path = '/aws/service/ecs/optimized-ami/amazon-linux-2023';
    const { Parameters } = await ssm.send(new GetParametersByPathCommand({ Path, Recursive: true }));
    expect(Parameters!.map(({ Name }) => Name)).toEqual([`${Path}/recommended`, `${Path}/recommended/image_id`]);
    expect(await codeOf(ssm.send(new GetParameterCommand({ Name: '/none' })))).toBe('ParameterNotFound');
  });
});

describe('load balancers', () => {
  it('drain a target for the deregistration delay', async () => {
    const { simulator, id, elbv2 } = await stage();
    const TargetGroupArn = simulator.verbs.createTargetGroup('web', { deregistrationDelaySeconds: 0.1 });
    const Targets = [{ Id: id }];
    await elbv2.send(new RegisterTargetsCommand({ TargetGroupArn, Targets }));
    const state = async () =>
      (await elbv2.send(new DescribeTargetHealthCommand({ TargetGroupArn, Targets }))).TargetHealthDescriptions![0]!
        .TargetHealth;
    await waitFor('healthy', async () => (await state())?.State === 'healthy');
    await elbv2.send(new DeregisterTargetsCommand({ TargetGroupArn, Targets }));
    expect(await state()).toMatchObject({ State: 'draining', Reason: 'Target.DeregistrationInProgress' });
    await waitFor('unused', async () => (await state())?.State === 'unused');
    await elbv2.send(new DeregisterTargetsCommand({ TargetGroupArn, Targets }));
    const { Attributes } = await elbv2.send(new DescribeTargetGroupAttributesCommand({ TargetGroupArn }));
    expect(Attributes).toContainEqual({ Key: 'deregistration_delay.timeout_seconds', Value: '0.1' });
    const unknown = { TargetGroupArn: `${TargetGroupArn}x`, Targets };
    expect(await codeOf(elbv2.send(new DeregisterTargetsCommand(unknown)))).toBe('TargetGroupNotFound');
  });

  it('of the classic kind report an unknown instance', async () => {
    const { simulator, id, elb } = await stage();
    simulator.verbs.createLoadBalancer('old', { drainingSeconds: 0.1 });
    const balanced = { LoadBalancerName: 'old', Instances: [{ InstanceId: id }] };
    const health = async () =>
      (await elb.send(new DescribeInstanceHealthCommand(balanced))).InstanceStates![0]!.Description;
    await elb.send(new RegisterInstancesWithLoadBalancerCommand(balanced));
    await elb.send(new DeregisterInstancesFromLoadBalancerCommand(balanced));
    expect(await health()).toMatch(/deregistration currently in progress/);
    await waitFor('gone', async () => /not currently registered/.test((await health()) ?? ''));
    expect(await codeOf(elb.send(new DeregisterInstancesFromLoadBalancerCommand(balanced)))).toBe('InvalidInstance');
  });
});

describe('faults', () => {
  const list = new DescribeClustersCommand({ clusters: ['demo'] });

  it('throttle, refuse, delay and lie, as often as ordered', async () => {
    const { simulator, ecs, ec2 } = await stage();
    const { faults, calls } = simulator;
    faults.add({ service: 'ecs', times: 2, effect: { kind: 'throttle' } });
    expect(await codeOf(ecs.send(list))).toBe('ThrottlingException');
    expect(await codeOf(ecs.send(list))).toBe('ThrottlingException');
    expect(await codeOf(ecs.send(list))).toBe('ok');
    faults.add({ service: 'ec2', nth: 2, effect: { kind: 'error', code: 'InternalError', status: 500 } });
    const instances = () => codeOf(ec2.send(new DescribeInstancesCommand({})));
    expect([await instances(), await instances()]).toEqual(['ok', 'InternalError']);
    faults.clear();
    faults.add({ service: 'ecs', times: 1, effect: { kind: 'refuse' } });
    expect(await codeOf(ecs.send(list))).toBe('ECONNRESET');
    faults.add({ service: 'ecs', times: 1, effect: { kind: 'html' } });
    expect(await codeOf(ecs.send(list))).not.toBe('ok');
    faults.add({ service: 'ecs', times: 1, effect: { kind: 'latency', ms: 120 } });
    const start = Date.now();
    await ecs.send(list);
    expect(Date.now() - start).toBeGreaterThanOrEqual(115);
    expect(calls.find({ service: 'ecs' }).map(({ outcome }) => outcome)).toEqual([
      'ThrottlingException',
      'ThrottlingException',
      'ok',
      'refused',
      'html',
      'ok',
    ]);
  });

  it('lose the answer of a call that took effect', async () => {
    const { simulator, id, ecs } = await stage();
    simulator.verbs.startEcsAgent(id, 'demo');
    const { byInstance } = simulator.world.clusters.get('demo')!;
    await waitFor('registered', () => byInstance.has(id));
    simulator.faults.add({ operation: 'UpdateContainerInstancesState', effect: { kind: 'cut' } });
    const input = { cluster: 'demo', containerInstances: [byInstance.get(id)!.arn], status: 'DRAINING' as const };
    expect(await codeOf(ecs.send(new UpdateContainerInstancesStateCommand(input)))).toBe('ECONNRESET');
    expect(byInstance.get(id)!.status).toBe('DRAINING');
  });

  it('limit the rate', async () => {
    const { simulator, ecs } = await stage();
    simulator.faults.limit({ service: 'ecs', burst: 2, perSecond: 0.001 });
    const codes = [await codeOf(ecs.send(list)), await codeOf(ecs.send(list)), await codeOf(ecs.send(list))];
    expect(codes).toEqual(['ok', 'ok', 'ThrottlingException']);
  });
});

describe('the control paths', () => {
  it('show the state and take verbs, settings and faults', async () => {
    const { simulator, id } = await stage();
    const url = `${simulator.endpoint}/_simulator`;
    const verb = await httpRequest(`${url}/verbs/startEcsAgent`, 'POST', {}, JSON.stringify([id, 'demo']));
    expect(verb).toEqual({ status: 200, body: '{\n "result": true\n}\n' });
    expect((await httpRequest(`${url}/verbs/dance`, 'POST')).body).toContain('no verb dance');
    expect((await httpRequest(`${url}/settings`, 'POST', {}, '{"opsworks":{"nope":1}}')).body).toContain(
      'no setting opsworks.nope',
    );
    await httpRequest(`${url}/settings`, 'POST', {}, '{"opsworks":{"installer":"failing"}}');
    expect(simulator.world.settings.opsworks.installer).toBe('failing');
    const state = JSON.parse((await httpRequest(`${url}/state`)).body) as { instances: { id: string }[] };
    expect(state.instances.map((instance) => instance.id)).toEqual([id]);
    expect((await httpRequest(`${url}/environment/${id}`)).body).toContain('AWS_EC2_METADATA_V1_DISABLED');
    expect((await httpRequest(`${url}/what`)).body).toContain('/_simulator/verbs/NAME');
  });

  it('list each verb with its arguments, and take the events of the command line', async () => {
    const { simulator, id } = await stage();
    const url = `${simulator.endpoint}/_simulator`;
    const listed = JSON.parse((await httpRequest(`${url}/verbs`)).body) as { verbs: object; events: object };
    expect(listed.verbs).toMatchObject({ setDesiredCapacity: 'name, desired', powerOff: 'id' });
    expect(Object.keys(listed.verbs)).toEqual(Object.keys(simulator.verbs).toSorted((a, b) => a.localeCompare(b)));
    expect(listed.events).toHaveProperty('scale-in');
    expect((await httpRequest(`${url}/verbs/dance`, 'POST')).body).toContain('noticeSpot(id, action');
    expect((await httpRequest(`${url}/events/dance`, 'POST')).body).toContain('no event \\"dance\\"');
    expect((await httpRequest(`${url}/events/spot@2`, 'POST')).body).toContain('there is no node 2');
    await httpRequest(`${url}/events/protect`, 'POST');
    expect(simulator.world.instances.get(id)!.disableApiTermination).toBe(true);
  });
});
