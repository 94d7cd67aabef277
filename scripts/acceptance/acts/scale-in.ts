/** The group ends a node on which a task takes its time to stop. */

import {
  DeregisterTaskDefinitionCommand,
  RegisterTaskDefinitionCommand,
  StartTaskCommand,
  StopTaskCommand,
} from '@aws-sdk/client-ecs';
import { poll } from '../clients.ts';
import { terminateOwn } from '../group.ts';
import { readInstance, readTask, see } from '../node.ts';
import type { Act, Scene } from '../scene.ts';
import { inService, until } from './scale-out.ts';

export const scaleIn: Act = async (scene) => {
  const id = scene.own.at(-1);
  if (id === undefined) return scene.skip('scale in', 'no node');
  const { clients, options } = scene;
  // After a spot interruption it may be the replacement, which still boots.
  if (!(await scene.judge('is in service', () => inService(scene, id)))) return;
  const definition = await defineSlowTask(scene);
  try {
    let task = '';
    const started = await scene.judge('a slow task runs on it', async () => {
      const { containerInstance } = await see(clients, options.cluster, id);
      const arn = containerInstance?.containerInstanceArn ?? '';
      const { tasks = [], failures = [] } = await clients.ecs.send(
        new StartTaskCommand({ cluster: options.cluster, containerInstances: [arn], taskDefinition: definition }),
      );
      task = tasks[0]?.taskArn ?? '';
      return task === '' ? (failures[0]?.reason ?? 'not started') : waitForTask(scene, task, 'RUNNING');
    });
    if (!started) return;
    await leaveWithTask(scene, id, task);
  } finally {
    await clients.ecs.send(new DeregisterTaskDefinitionCommand({ taskDefinition: definition }));
  }
};

async function leaveWithTask(scene: Scene, id: string, task: string): Promise<void> {
  const { clients, options, waiting } = scene;
  await scene.judge('the group begins to end it', async () => void (await terminateOwn(clients, id)));
  await scene.judge('is DRAINING', () =>
    until(scene, id, 'not DRAINING', ({ containerInstance }) => containerInstance?.status === 'DRAINING'),
  );
  // ECS does this to the tasks of services.
  await clients.ecs.send(new StopTaskCommand({ cluster: options.cluster, task, reason: 'ecs-node acceptance' }));
  await scene.judge('the group waits until the task has stopped', async () => {
    let early: string | undefined;
    const stopped = await poll(waiting, async () => {
      // In this order: the task may stop between the two looks, and the hook may not end before.
      const { lifecycle = 'gone' } = await see(clients, options.cluster, id);
      if ((await readTask(clients, options.cluster, task)) === 'STOPPED') return true;
      if (lifecycle !== 'Terminating:Wait' && lifecycle !== 'Terminating') early = lifecycle;
      return early === undefined ? undefined : true;
    });
    if (early !== undefined) return `the node is ${early}, and its task still runs`;
    return stopped === undefined ? 'the task does not stop' : undefined;
  });
  await scene.judge('completes its hook with CONTINUE, and ends', async () => {
    const ended = await poll(waiting, async () => {
      const { state } = await readInstance(clients, id);
      return state === undefined || state === 'shutting-down' || state === 'terminated' || undefined;
    });
    return ended === undefined ? `${(await see(clients, options.cluster, id)).lifecycle}` : undefined;
  });
  scene.own.splice(scene.own.indexOf(id), 1);
  scene.ended.add(id);
}

async function defineSlowTask({ clients, options: { stopSeconds } }: Scene): Promise<string> {
  const { taskDefinition } = await clients.ecs.send(
    new RegisterTaskDefinitionCommand({
      family: 'ecs-node-acceptance',
      containerDefinitions: [
        {
          name: 'slow',
          image: 'public.ecr.aws/docker/library/busybox:stable',
          memory: 32,
          stopTimeout: stopSeconds * 2,
          command: ['sh', '-c', `trap "sleep ${stopSeconds}; exit 0" TERM; while :; do sleep 1; done`],
        },
      ],
    }),
  );
  return taskDefinition?.taskDefinitionArn ?? '';
}

async function waitForTask({ clients, options, waiting }: Scene, task: string, status: string) {
  let last: string | undefined;
  const found = await poll(waiting, async () => {
    last = await readTask(clients, options.cluster, task);
    return last === status || undefined;
  });
  return found === undefined ? `the task is ${last}` : undefined;
}
