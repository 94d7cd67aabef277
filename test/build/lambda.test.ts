// The Lambda functions as they are uploaded: one small zip, run by a process that has nothing else,
// against the simulator.
import { unzipSync } from 'fflate';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { makeLambdaZip, pack } from '../../scripts/lambda/zip.ts';
import { operatorCredentials, startSimulator, type Simulator } from '../../simulator/simulator.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { openFunction, scheduledEvent, type LambdaFunction } from '../lambda/function.ts';

let zip: Uint8Array;
beforeAll(async () => {
  ({ zip } = await makeLambdaZip());
});

const event = scheduledEvent('prod-service-size');

interface Stage {
  simulator: Simulator;
  desired(): number;
  mutations(): string[];
  nodes: string[];
  open(environment: Record<string, string>, handler?: string): Promise<LambdaFunction>;
}

async function openStage(nodes: number): Promise<Stage> {
  const simulator = await startSimulator();
  onTestFinished(() => simulator.close());
  const launched = await simulator.verbs.scaleTo('ecs-nodes', nodes);
  for (const { id } of launched) simulator.verbs.startEcsAgent(id, 'demo');
  const { containerInstances, services } = simulator.world.clusters.get('demo')!;
  await waitFor('registered', () => containerInstances.size === nodes);
  simulator.verbs.createService('demo', { name: 'web', desired: 2 });
  return {
    simulator,
    nodes: launched.map(({ id }) => id),
    desired: () => services.get('web')!.desired,
    mutations: () => simulator.calls.names().filter((call) => !/:(Describe|List|Get)/.test(call)),
    async open(environment, handler = 'lambda.serviceSize') {
      const opened = await openFunction({
        zip,
        handler,
        environment: {
          AWS_REGION: simulator.region,
          AWS_ENDPOINT_URL: simulator.endpoint,
          AWS_ACCESS_KEY_ID: operatorCredentials.accessKeyId,
          AWS_SECRET_ACCESS_KEY: operatorCredentials.secretAccessKey,
          ...environment,
        },
      });
      onTestFinished(() => opened.close());
      return opened;
    },
  };
}

/** The log comes by another way than the function's answer, and may come later. */
const logMs = 60_000;
const logOf = (opened: LambdaFunction) => opened.lines().map((line) => JSON.parse(line) as Record<string, unknown>);

const web = { ECS_NODE_CLUSTER: 'demo', ECS_NODE_SERVICE: 'web' };

describe('the zip', () => {
  test('has the same bytes wherever and whenever it is made', async () => {
    const zone = process.env['TZ'];
    onTestFinished(() => {
      if (zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = zone;
    });
    const made = ['UTC', 'Asia/Tokyo', 'America/Los_Angeles'].map((name) => {
      process.env['TZ'] = name;
      return Buffer.from(pack({ b: Buffer.from('b'), a: Buffer.from('a') })).toString('hex');
    });
    expect(new Set(made).size).toBe(1);
    expect(Buffer.from((await makeLambdaZip()).zip).equals(Buffer.from(zip))).toBe(true);
  });

  test('is small: it holds the functions, and shares only a part with the node', () => {
    expect(Object.keys(unzipSync(zip))).toEqual(['LICENSE', 'THIRD_PARTY_LICENSES', 'lambda.js']);
    expect(zip.length).toBeLessThan(400_000);
  });
});

describe('the function that sizes a service', () => {
  test('changes nothing without --apply', async () => {
    const stage = await openStage(5);
    const sizing = await stage.open(web);
    const outcome = await sizing.invoke(event);
    expect(outcome).toMatchObject({ kind: 'response', payload: { action: 'would-resize', desired: 2, wanted: 4 } });
    expect(stage.mutations()).toEqual([]);
  });

  test('sets the desired count, and finds nothing to do the next minute', async () => {
    const stage = await openStage(5);
    const sizing = await stage.open({ ...web, ECS_NODE_APPLY: 'true', ECS_NODE_SPARE: '2', ECS_NODE_MAX: '' });
    expect(await sizing.invoke(event)).toMatchObject({
      payload: { action: 'resized', wanted: 3, reason: expect.stringMatching(/2 to spare/) },
    });
    expect(await sizing.invoke(event)).toMatchObject({ payload: { action: 'kept', wanted: 3 } });
    expect(stage.desired()).toBe(3);
    expect(stage.mutations()).toEqual(['ecs:UpdateService']);
    const told = () => logOf(sizing).filter(({ level }) => level === 'info');
    await expect.poll(told, { timeout: logMs }).toMatchObject([
      { level: 'info', message: 'invoked', command: 'service-size', requestId: 'request-1' },
      { level: 'info', message: 'resized', from: 2, to: 3, requestId: 'request-1' },
      { level: 'info', message: 'reported', code: 0, report: { action: 'resized' }, requestId: 'request-1' },
      { level: 'info', message: 'invoked', requestId: 'request-2' },
      { level: 'info', message: 'reported', report: { action: 'kept' } },
    ]);
  });

  test('fails, so that the alarm sees it, when another program sizes the service', async () => {
    const stage = await openStage(5);
    stage.simulator.verbs.registerScalableTarget('demo', 'web', 1, 9);
    const sizing = await stage.open({ ...web, ECS_NODE_APPLY: 'true' });
    expect(await sizing.invoke(event)).toMatchObject({ kind: 'error', errorType: 'Refused' });
    await expect.poll(() => logOf(sizing).at(-1), { timeout: logMs }).toMatchObject({ level: 'error' });
    expect(stage.mutations()).toEqual([]);
  });

  test('fails before its time is up, with the reason, when AWS does not answer', async () => {
    const stage = await openStage(1);
    stage.simulator.faults.add({ effect: { kind: 'hang' } });
    const sizing = await stage.open({ ...web, ECS_NODE_APPLY: 'true' });
    expect(await sizing.invoke(event, 4_000)).toMatchObject({ kind: 'error', errorType: 'Unavailable' });
    stage.simulator.faults.clear();
    expect(await sizing.invoke(event)).toMatchObject({ kind: 'response', payload: { action: 'resized', wanted: 1 } });
  });

  test('reports every fault of its environment at once, and calls no AWS', async () => {
    const stage = await openStage(1);
    const sizing = await stage.open({
      ECS_NODE_CLUSTR: 'demo',
      ECS_NODE_SERVICE: 'a/b',
      ECS_NODE_SPARE: 'one',
      ECS_NODE_APPLY: 'yes',
    });
    const outcome = await sizing.invoke(event);
    expect(outcome).toMatchObject({ kind: 'error', errorType: 'ConfigError' });
    const { errorMessage } = outcome as { errorMessage: string };
    expect(errorMessage.split('\n')).toEqual([
      'ECS_NODE_CLUSTR: unknown; did you mean ECS_NODE_CLUSTER?',
      'ECS_NODE_SERVICE: must be a name of 1 to 255 letters, digits, - or _; found "a/b"',
      'ECS_NODE_SPARE: must be a whole number from 0 to 5000; found "one"',
      'ECS_NODE_APPLY: must be true or false; found "yes"',
      'ECS_NODE_CLUSTER: missing; it is required (ECS cluster, by name)',
    ]);
    expect(stage.simulator.calls.names()).toEqual([]);
  });
});

describe('the function that sweeps a fleet', () => {
  test('reports its findings, and changes nothing without --apply', async () => {
    const stage = await openStage(3);
    stage.simulator.verbs.protect(stage.nodes[0]!);
    const sweeping = await stage.open({ ECS_NODE_CLUSTER: 'demo' }, 'lambda.sweep');
    const outcome = await sweeping.invoke(event);
    expect(outcome).toMatchObject({
      kind: 'response',
      payload: { cluster: 'demo', applied: false, nodes: 3, unanswered: [] },
    });
    await expect
      .poll(() => logOf(sweeping).at(-1), { timeout: logMs })
      .toMatchObject({ message: 'reported', report: { cluster: 'demo', nodes: 3 } });
    expect(stage.mutations()).toEqual([]);
  });

  test('fails when a read got no answer, with the report in its log', async () => {
    const stage = await openStage(1);
    stage.simulator.faults.add({
      service: 'cloudwatch',
      effect: { kind: 'error', code: 'AccessDenied', status: 403 },
    });
    const sweeping = await stage.open({ ECS_NODE_CLUSTER: 'demo', ECS_NODE_APPLY: 'true' }, 'lambda.sweep');
    expect(await sweeping.invoke(event)).toMatchObject({ kind: 'error', errorType: 'Unavailable' });
    await expect
      .poll(() => logOf(sweeping).slice(-2), { timeout: logMs })
      .toMatchObject([
        { message: 'reported', code: 75, report: { nodes: 1, unanswered: [{ why: expect.any(String) }] } },
        { level: 'error', message: 'failed' },
      ]);
    expect(stage.mutations()).toEqual([]);
  });
});
