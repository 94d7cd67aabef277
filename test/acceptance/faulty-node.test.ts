// Each fault of a node turns one verdict of the acceptance bad. These tests are in their own file,
// because they wait as long as all other acts together.
import { test, vi } from 'vitest';
import type { ActName } from '../../scripts/acceptance/options.ts';
import { group, settings, type Stage } from '../scenarios/stage.ts';
import { play, spotGroup, type How } from './stage.ts';

vi.setConfig({ testTimeout: 600_000 });

const deny = (...actions: string[]) => ({
  Statement: [
    { Effect: 'Allow', Action: '*', Resource: '*' },
    { Effect: 'Deny', Action: actions, Resource: '*' },
  ],
});

/** The nodes' role lacks these permissions. */
const denied = (...actions: string[]): How => ({
  groups: [{ ...spotGroup, template: { purchase: 'spot', policy: deny(...actions) } }],
});

/** The cluster loses its provider before the node registers. */
function withoutProvider({ simulator: { verbs, world } }: Stage): void {
  verbs.createCapacityProvider('demo', 'nodes', group);
  world.listeners.add(({ kind }) => {
    if (kind === 'instance') world.clusters.get('demo')!.capacityProviders.splice(0);
  });
}

/** The fault of the node, and the verdict that must turn bad. */
const faults: [string, ActName, RegExp, How][] = [
  ['never registers', 'scale-out', /is ACTIVE/, { boots: false }],
  ['publishes nothing', 'scale-out', /publishes metrics/, denied('cloudwatch:PutMetricData')],
  ['has no name', 'scale-out', /Name tag/, denied('ec2:CreateTags')],
  ['is outside its capacity provider', 'scale-out', /capacity provider/, { before: withoutProvider }],
  [
    'completes a hook that its group lacks',
    'doctor',
    /finds nothing wrong/,
    { flags: settings({ 'autoScaling.terminateHook': 'other' }) },
  ],
  ['may not drain', 'leave-stay', /takes the order to leave|is DRAINING/, denied('ecs:UpdateContainerInstancesState')],
  ['does not see its disk', 'disk', /DRAINING while it is full/, { flags: settings({ 'disk.fullPercent': 99 }) }],
  ['is not started again', 'agent', /starts it again/, { restartsAgent: false }],
  ['only logs a spot notice', 'spot', /is DRAINING before/, { flags: settings({ 'spot.action': 'log' }) }],
  [
    'does not wait for its tasks',
    'scale-in',
    /waits until the task has stopped/,
    {
      flags: settings({ 'leave.drainSeconds': 10, 'leave.atDeadline': 'leave-tasks' }),
      settings: { ecs: { stoppingMs: 40_000 }, ssm: { onlineAfterMs: 500 } },
      options: { waitMs: 90_000 },
    },
  ],
];

test.concurrent.for(faults)(
  'a node that %s turns the verdict of %s bad: %s',
  async ([, act, check, how], { expect, onTestFinished }) => {
    const options = { acts: [...new Set<ActName>(['scale-out', act])], nodes: 1, waitMs: 15_000, pollMs: 200 };
    const { verdicts } = await play({ onTestFinished }, { ...how, options: { ...options, ...how.options } });
    const bad = verdicts.filter(({ state }) => state === 'BAD');
    expect(bad.find((verdict) => verdict.act === act && check.test(verdict.check))).toBeDefined();
  },
);
