/** The contract of `EcsAgent`, for every implementation. */

import { afterEach, describe, expect, test } from 'vitest';
import type { EcsAgent } from '../../core/host.ts';

export interface EcsAgentStage {
  ecsAgent: EcsAgent;
  cluster: string;
  /** Starts the agent; resolves when it has registered and answers. */
  register(): Promise<void>;
  /** Runs a task here, only after `register`. Returns its ARN. */
  runTask(): Promise<string>;
  /** Runs a task whose one container, `web`, publishes 80/tcp at any host port. Returns its ARN. */
  publish(): Promise<string>;
  /** Lets some time pass. */
  pause(): Promise<void>;
  close(): Promise<void>;
}

const patient = new AbortController().signal;

export function describeEcsAgent(name: string, open: () => Promise<EcsAgentStage>): void {
  describe(`ECS agent: ${name}`, () => {
    let stage: EcsAgentStage | undefined;
    const node = async () => (stage = await open());
    afterEach(async () => stage?.close());

    test('before its registration the agent does not answer, and this is no error', async () => {
      const { ecsAgent } = await node();
      expect(await ecsAgent.readAgent(patient)).toBeUndefined();
      expect(await ecsAgent.readTasks(patient)).toBeUndefined();
    });

    test('a registered agent reports its cluster, its container instance and its version', async () => {
      const { ecsAgent, cluster, register } = await node();
      await register();
      const agent = await ecsAgent.readAgent(patient);
      expect(agent?.cluster).toBe(cluster);
      expect(agent?.containerInstanceArn).toMatch(/^arn:aws:ecs:.*:container-instance\//);
      expect(agent?.version).not.toBe('');
      expect(await ecsAgent.readTasks(patient)).toEqual([]);
    });

    test('a running task is reported with its family and its states', async () => {
      const { ecsAgent, register, runTask, pause } = await node();
      await register();
      const arn = await runTask();
      // The agent learns of a task a moment after ECS places it.
      let tasks = await ecsAgent.readTasks(patient);
      for (let tries = 0; tries < 200 && tasks?.length === 0; tries++) {
        await pause();
        tasks = await ecsAgent.readTasks(patient);
      }
      expect(tasks).toMatchObject([{ arn, desiredStatus: 'RUNNING' }]);
      expect(tasks?.[0]?.family).not.toBe('');
      expect(tasks?.[0]?.knownStatus).not.toBe('STOPPED');
    });

    test('a running container is reported with its id and its host ports', async () => {
      const { ecsAgent, register, publish, pause } = await node();
      await register();
      await publish();
      const read = async () => (await ecsAgent.readTasks(patient))?.[0]?.containers?.[0];
      let web = await read();
      for (let tries = 0; tries < 200 && (web?.ports.length ?? 0) === 0; tries++) {
        await pause();
        web = await read();
      }
      expect(web?.name).toBe('web');
      // A real agent lists a port once for IPv4 and once for IPv6.
      for (const port of web?.ports ?? []) expect(port).toMatchObject({ protocol: 'tcp', containerPort: 80 });
      expect(web?.dockerId).toMatch(/^[0-9a-f]{64}$/);
      expect(web?.ports[0]?.hostPort).toBeGreaterThan(1_023);
    });
  });
}
