/** Settings of the agent's watchers: disks, notices from EC2, the ECS agent and Docker. */

import * as z from 'zod';
import { imageName } from './image-name.ts';

export const seconds = (min: number, max: number) => z.int().min(min).max(max);
const percent = () => z.number().min(1).max(100);
const absolutePath = () => z.string().regex(/^\/[^\0]*$/, 'must be an absolute path');

export const watcherSections = {
  disk: z
    .strictObject({
      paths: z
        .array(absolutePath())
        .max(20)
        .default([])
        .describe("Paths on further file systems to watch, beside / and Docker's data root."),
      checkSeconds: seconds(1, 3600).default(60).describe('Seconds between two measurements of each file system.'),
      fullPercent: percent()
        .default(90)
        .describe('Percentage of used bytes or inodes from which a file system counts as full.'),
      clearPercent: percent()
        .default(80)
        .describe(
          'Percentage of used bytes and inodes below which it counts as free again. Must be below fullPercent.',
        ),
      checks: z
        .int()
        .min(1)
        .max(60)
        .default(3)
        .describe('Number of measurements in a row that must find it full before the node acts.'),
      prune: z
        .boolean()
        .default(true)
        .describe('Remove unused Docker images, oldest first, when the file system that holds them is full.'),
      keepImages: z
        .array(z.string().regex(imageName, 'must be an image such as app, app:1 or registry.example.com/base/*'))
        .max(200)
        .default([])
        .describe(
          'Images that are never removed, beside those listed in /etc/ecs-node/keep-images.d: NAME, NAME:TAG, NAME@DIGEST, NAME:TAG@DIGEST (either of the two) or an id. An asterisk stands for any characters.',
        ),
      leave: z.boolean().default(true).describe('Drain and replace the node when removing images did not help.'),
      maxLeavingPercent: percent()
        .default(10)
        .describe(
          'Percentage of the cluster that may drain or leave at the same time for a full disk, a lost ECS agent or a dead Docker. Each cause is counted by itself, and for each at least one node may always leave.',
        ),
    })
    .prefault({}),

  spot: z
    .strictObject({
      action: z
        .enum(['leave', 'log'])
        .default('leave')
        .describe('What to do on a spot interruption notice. leave: drain the node. log: only log it.'),
      pollSeconds: seconds(1, 60)
        .default(1)
        .describe('Seconds between two reads of the interruption notice in the metadata service.'),
      marginSeconds: seconds(0, 110)
        .default(20)
        .describe('Seconds before the interruption by which the departure must be complete.'),
    })
    .prefault({}),

  rebalance: z
    .strictObject({
      action: z
        .enum(['log', 'drain'])
        .default('log')
        .describe(
          'What to do on a rebalance recommendation. drain: ECS places no more tasks here and moves service tasks away. log: only log it.',
        ),
      pollSeconds: seconds(1, 300)
        .default(30)
        .describe(
          'Seconds between two reads of the recommendation. It sets no deadline, so a slow poll loses nothing.',
        ),
      undoSeconds: seconds(60, 86_400)
        .default(1800)
        .describe('Seconds after which the drain is undone, if no interruption followed.'),
    })
    .prefault({}),

  maintenance: z
    .strictObject({
      action: z
        .enum(['leave', 'log'])
        .default('leave')
        .describe(
          'What to do on a scheduled EC2 maintenance event. leave: drain and replace the node. log: only log it.',
        ),
      pollSeconds: seconds(10, 3600)
        .default(60)
        .describe('Seconds between two reads of the scheduled events in the metadata service.'),
      leadSeconds: seconds(60, 1_209_600)
        .default(7200)
        .describe(
          'Seconds before a reboot or a maintenance window at which the node leaves. It leaves at once for a retirement or a stop.',
        ),
    })
    .prefault({}),

  ecsAgent: z
    .strictObject({
      action: z
        .enum(['replace', 'restart', 'log'])
        .default('replace')
        .describe(
          'What to do when the ECS agent is gone or disconnected. replace: restart it, then replace the node. restart: only restart it. log: only log it.',
        ),
      pollSeconds: seconds(5, 600).default(30).describe('Seconds between two looks at the ECS agent.'),
      patienceSeconds: seconds(60, 7200)
        .default(300)
        .describe(
          'Seconds for which the agent must be gone or disconnected before each restart, and before the node is replaced.',
        ),
      restarts: z
        .int()
        .min(0)
        .max(5)
        .default(2)
        .describe('Number of restarts of the ECS agent before the node is replaced.'),
      maxDisconnectedPercent: percent()
        .default(30)
        .describe(
          'Percentage of disconnected nodes in the cluster above which the cause lies elsewhere, so that the node does nothing.',
        ),
    })
    .prefault({}),

  docker: z
    .strictObject({
      action: z
        .enum(['replace', 'restart', 'log'])
        .default('replace')
        .describe(
          'What to do when Docker does not answer. replace: restart it, then replace the node if ECS also says that it is impaired. restart: only restart it. log: only log it.',
        ),
      pollSeconds: seconds(5, 600).default(30).describe('Seconds between two health questions to Docker.'),
      patienceSeconds: seconds(60, 7200)
        .default(300)
        .describe(
          'Seconds for which Docker must not answer before each restart, and before the node is replaced. A restart ends the tasks unless live-restore is on.',
        ),
      restarts: z.int().min(0).max(5).default(2).describe('Number of restarts of Docker before the node is replaced.'),
    })
    .prefault({}),
};
