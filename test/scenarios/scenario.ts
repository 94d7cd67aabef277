/** One scenario: a stage of its own, several at a time, since a node mostly waits. */

import { test, type ExpectStatic } from 'vitest';
import { waitFor } from '../../simulator/wait-for.ts';
import { openStage, type Node, type Stage, type StageOptions } from './stage.ts';

export interface Scene extends Stage {
  expect: ExpectStatic;
  inService(node: Node): Promise<void>;
  /**
   * The instance does not run any more: a departure that is throttled again and again takes most of
   * a minute.
   */
  gone(node: Node): Promise<void>;
  /** The states that this node requested for its container instance, in order. */
  placements(node: Node): string[];
  /** The message was logged by the node. */
  logged(node: Node, message: string): Promise<void>;
}

/** The storm guard, and a guard against an outage of ECS, ask again after 75 s. */
const goneMs = 180_000;

export function scenario(title: string, options: StageOptions, play: (scene: Scene) => Promise<void>): void {
  test.concurrent(title, async ({ expect, onTestFinished }) => {
    const stage = await openStage(options);
    // Also after a time-out: otherwise the nodes would run on, without a world.
    onTestFinished(() => stage.close());
    const { simulator } = stage;
    const scene: Scene = {
      ...stage,
      expect,
      inService: (node) => inService(node),
      gone: (node) => waitFor('gone', () => simulator.world.instances.get(node.id)?.state !== 'running', goneMs),
      placements: (node) =>
        simulator.calls
          .find({ operation: 'UpdateContainerInstancesState', instanceId: node.id, outcome: 'ok' })
          .map(({ params }) => String(params['status'])),
      logged: (node, message) => waitFor(message, () => node.log.some((line) => line.message === message)),
    };
    await play(scene);
  });
}

/**
 * A node whose configuration was refused never gets there: the error then says what the node
 * logged.
 */
async function inService(node: Node): Promise<void> {
  try {
    await waitFor('in service', () => node.state() === 'InService');
  } catch (cause) {
    const errors = node.log.filter(({ level }) => level === 'error').map((line) => JSON.stringify(line));
    throw new Error(['the node is not in service; its errors:', ...errors].join('\n'), { cause });
  }
}
