/**
 * The command line as people use it: a process of its own, asked from outside what its events have
 * done.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test, type TestContext } from 'vitest';
import { waitFor } from '../../simulator/wait-for.ts';

interface State {
  instances: { index: number; id: string; state: string; disableApiTermination: boolean }[];
  groups: { desired: number; members: { instanceId: string; state: string; waitingFor: string[] }[] }[];
  clusters: { name: string; containerInstances: { instanceId: string; agentConnected: boolean }[] }[];
}

/** `words` as on the command line, after `npm run simulator --`. */
async function simulate({ onTestFinished }: TestContext, words: string) {
  const child = spawn(process.execPath, ['simulator/cli.ts', ...words.split(' ')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(async () => {
    const ended = once(child, 'exit');
    if (child.kill()) await ended;
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  await waitFor('it has started', () => output.includes('AWS_SECRET_ACCESS_KEY'));
  const endpoint = /^export AWS_ENDPOINT_URL=(.*)$/m.exec(output)![1]!;
  const state = async () => (await (await fetch(`${endpoint}/_simulator/state`)).json()) as State;
  const nodeOf = async (node: number) => (await state()).instances.find(({ index }) => index === node - 1)!;
  return {
    output: () => output,
    state,
    node: nodeOf,
    /** The answer of that node's metadata service; undefined for a 404 or no answer. */
    async metadata(node: number, path: string): Promise<string | undefined> {
      const { id } = await nodeOf(node);
      const environment = await (await fetch(`${endpoint}/_simulator/environment/${id}`)).json();
      const imds = (environment as Record<string, string>)['AWS_EC2_METADATA_SERVICE_ENDPOINT']!;
      const ask = (what: string, method: string, headers: Record<string, string>) =>
        fetch(`${imds}/latest/${what}`, { method, headers });
      try {
        const token = await (await ask('api/token', 'PUT', { 'x-aws-ec2-metadata-token-ttl-seconds': '60' })).text();
        const answer = await ask(`meta-data/${path}`, 'GET', { 'x-aws-ec2-metadata-token': token });
        return answer.ok ? await answer.text() : undefined;
      } catch {
        return undefined;
      }
    },
  };
}

test.concurrent('an EC2 notice appears in the metadata of the named node', async (context) => {
  const { expect } = context;
  const simulator = await simulate(
    context,
    '--nodes 2 --spot --at 100ms spot --at 200ms spot:stop@2 --at 300ms rebalance --at 400ms maintenance:system-reboot@2 ' +
      '--at 500ms target-state:Standby@2',
  );
  const said = async (node: number, path: string) => {
    await waitFor(path, () => simulator.metadata(node, path));
    return (await simulator.metadata(node, path))!;
  };
  const notice = JSON.parse(await said(1, 'spot/instance-action')) as { action: string; time: string };
  expect(notice.action).toBe('terminate');
  expect(Date.parse(notice.time) - Date.now()).toBeGreaterThan(60_000);
  expect(JSON.parse(await said(2, 'spot/instance-action'))).toMatchObject({ action: 'stop' });
  expect(JSON.parse(await said(1, 'events/recommendations/rebalance'))).toHaveProperty('noticeTime');
  await waitFor('maintenance', async () => (await simulator.metadata(2, 'events/maintenance/scheduled')) !== '[]');
  const [event, ...more] = JSON.parse(await said(2, 'events/maintenance/scheduled')) as object[];
  expect(event).toMatchObject({ Code: 'system-reboot', State: 'active' });
  expect(more).toEqual([]);
  await waitFor('standby', async () => (await said(2, 'autoscaling/target-lifecycle-state')) === 'Standby');
  expect(await simulator.metadata(2, 'events/recommendations/rebalance')).toBeUndefined();
});

test.concurrent('a temporary notice appears and disappears', async (context) => {
  const { expect } = context;
  const simulator = await simulate(
    context,
    '--ecs-agent-after 50ms --at 3s disconnect --at 7s reconnect --at 3s protect --at 7s unprotect ' +
      '--at 3s imds-down --at 7s imds-up --at 9s stop-ecs-agent --at 11s ecs-agent',
  );
  const connected = async () => (await simulator.state()).clusters[0]!.containerInstances[0]?.agentConnected;
  const isProtected = async () => (await simulator.node(1)).disableApiTermination;
  const speaks = async () => (await simulator.metadata(1, 'instance-id')) !== undefined;
  const are = async (there: boolean, safe: boolean) =>
    (await connected()) === there && (await isProtected()) === safe && (await speaks()) === there;
  await waitFor('well', () => are(true, false));
  await waitFor('cut off and protected', () => are(false, true));
  await waitFor('well again', () => are(true, false));
  await waitFor('without its agent', async () => !(await connected()));
  await waitFor('with it again', connected);
  expect(simulator.output()).toContain('\n# protect\n');
});

test.concurrent('the group grows, shrinks through its hook, and replaces what a person terminates', async (context) => {
  const { expect } = context;
  const simulator = await simulate(
    context,
    '--nodes 2 --hook terminate:ours:60 --foreign-hook terminate:theirs:1 --at 300ms scale-out ' +
      '--at 5s scale-in --at 8s terminate@2',
  );
  const members = async () => (await simulator.state()).groups[0]!.members;
  await waitFor('three', async () => (await members()).filter(({ state }) => state === 'InService').length === 3);
  const { id } = await simulator.node(1);
  const waitsFor = async () => (await members()).find(({ instanceId }) => instanceId === id)?.waitingFor ?? [];
  await waitFor('it waits for ours alone', async () => (await waitsFor()).join() === 'ours');
  await waitFor('a person has terminated one', async () => (await simulator.node(2)).state === 'terminated');
  await waitFor('replaced', async () => (await simulator.state()).instances.length > 3);
  expect((await simulator.node(4)).state).toMatch(/pending|running/);
});

test.concurrent('an event for a missing node is reported, and does no harm', async (context) => {
  const { expect } = context;
  const simulator = await simulate(context, '--at 100ms spot@9 --at 300ms protect');
  await waitFor('the next one', async () => (await simulator.node(1)).disableApiTermination);
  expect(simulator.output()).toContain('\n# spot: there is no node 9\n');
});
