/** How ecs-node explains to a person why ECS does not start a task. */

import { expect, onTestFinished, test } from 'vitest';
import { openLog } from '../../core/log.ts';
import { openCloud } from '../../host/aws/open.ts';
import { startSimulator } from '../../simulator/simulator.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { someIdentity } from '../fakes/metadata.ts';

const patient = new AbortController().signal;

async function openNode() {
  const simulator = await startSimulator();
  onTestFinished(() => simulator.close());
  const { verbs, world, faults } = simulator;
  const { id } = await verbs.launch();
  verbs.startEcsAgent(id, 'demo');
  const { byInstance, tasks } = world.clusters.get('demo')!;
  await waitFor('registered', () => byInstance.has(id));
  const cloud = openCloud(
    { ...someIdentity, instanceId: id },
    simulator.operatorEnvironment(),
    openLog(() => {}, Date.now),
  );
  onTestFinished(() => cloud.close());
  const definition = verbs.registerTaskDefinition('logs');
  const start = () => cloud.startTask('demo', byInstance.get(id)!.arn, definition, 'ecs-node/daemon', patient);
  return { id, verbs, faults, tasks, start };
}

test('the error names the role that the node may not pass, not the permission to start tasks', async () => {
  const { faults, start } = await openNode();
  const message =
    'User: arn:aws:sts::123456789012:assumed-role/node/i-1 is not authorized to perform: iam:PassRole on resource: ' +
    'arn:aws:iam::123456789012:role/logs-task because no identity-based policy allows the iam:PassRole action';
  faults.add({
    operation: 'StartTask',
    effect: { kind: 'error', code: 'AccessDeniedException', status: 400, message },
  });
  const refused = await start().catch((error: unknown) => error);
  expect(refused).toMatchObject({ name: 'Refused', code: 'AccessDeniedException' });
  expect(String(refused)).toContain('iam:PassRole on arn:aws:iam::123456789012:role/logs-task is not allowed');
});

test('the SDK does not repeat a call whose answer was lost: it would start a second task', async () => {
  const { faults, start, tasks } = await openNode();
  faults.add({ operation: 'StartTask', times: 1, effect: { kind: 'cut' } });
  await expect(start()).rejects.toMatchObject({ name: 'Unavailable' });
  expect(tasks.size).toBe(1);
});

test('a disconnected agent counts as unavailable, so the node retries', async () => {
  const { id, verbs, start, tasks } = await openNode();
  verbs.disconnectEcsAgent(id);
  await expect(start()).rejects.toMatchObject({ name: 'Unavailable', message: expect.stringContaining('AGENT') });
  expect(tasks.size).toBe(0);
});
