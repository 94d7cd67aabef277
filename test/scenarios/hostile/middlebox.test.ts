/**
 * The shipped binary behind a firewall, a proxy or a block of the account: each call is answered
 * by something that is not AWS's own answer about this request.
 */

import { describe, vi } from 'vitest';
import { waitFor } from '../../../simulator/wait-for.ts';
import type { FaultEffect } from '../../../simulator/faults.ts';
import { scenario } from '../scenario.ts';
import { opsworks } from '../stage.ts';

vi.setConfig({ testTimeout: 300_000 });

const page = (status: number): FaultEffect => ({ kind: 'html', status });
const code = (name: string, status: number): FaultEffect => ({ kind: 'error', code: name, status });

const answers: Record<string, FaultEffect> = {
  'a page of a firewall, 403': page(403),
  'a redirect, 301': page(301),
  'a page, 404': page(404),
  'the request of a proxy for a password, 407': page(407),
  'the time-out of a proxy, 408': page(408),
  'a page of a censor, 451': page(451),
  OptInRequired: code('OptInRequired', 403),
  Blocked: code('Blocked', 403),
};

/** The calls between the boot and the end of the join, without which no node is in service. */
const needed = [
  'DescribeStacks',
  'DescribeLayers',
  'GetHostnameSuggestion',
  'DescribeStackProvisioningParameters',
  'DescribeInstances',
  'AssignInstance',
  'DescribeInstanceAttribute',
  'ModifyInstanceAttribute',
  'DescribeContainerInstances',
  'CompleteLifecycleAction',
];
/** The node can do without this call. */
const nicety = 'CreateTags';

describe('a node whose every call is first answered with', () => {
  for (const [what, effect] of Object.entries(answers)) {
    scenario(`${what}, joins all the same`, { boots: false, flags: opsworks }, async (scene) => {
      const { expect, simulator } = scene;
      for (const operation of [...needed, nicety]) simulator.faults.add({ operation, times: 1, effect });
      const node = await scene.launch();
      const isAlive = () => simulator.world.instances.get(node.id)?.state === 'running';
      expect({ bootstrap: await node.boot(), isAlive: isAlive() }).toEqual({ bootstrap: 0, isAlive: true });
      await waitFor('in service', () => node.state() === 'InService' || !isAlive(), 120_000);
      expect(isAlive()).toBe(true);
      await scene.logged(node, 'joined');
      // Each needed call met the answer, and was repeated until AWS itself answered.
      const outcomes = needed.map((operation) => [
        operation,
        simulator.calls.find({ operation, instanceId: node.id }).map(({ outcome }) => outcome === 'ok'),
      ]);
      for (const [operation, each] of outcomes)
        expect([operation, each]).toEqual([operation, expect.arrayContaining([true, false])]);
      expect(node.calls().filter((call) => /:Terminate|SetInstanceHealth/.test(call))).toEqual([]);
    });
  }
});
