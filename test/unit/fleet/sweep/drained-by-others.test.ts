/** ECS does not name the party that set DRAINING. A sweep must undo its own draining only. */

import assert from 'node:assert/strict';
import { beforeEach, expect, test } from 'vitest';
import { addNode } from '../../../fakes/fleet-nodes.ts';
import { hour, clock, fleet, renewFleet, run, deedsOf, addHealthy, whyOf } from './run.ts';

const lost = () => fleet.instances.get('i-lost')!;

beforeEach(async () => {
  renewFleet();
  addHealthy(9);
  addNode(fleet, 'i-lost', clock.now(), { instance: { agentConnected: false } });
  await run();
  clock.jump(3 * hour);
  assert((await deedsOf()).includes('drain i-lost'));
  clock.jump(hour / 60);
  lost().agentConnected = true;
});

test.each([
  ['the node itself has queued to leave', () => (lost().leavesSince = clock.now())],
  ['its ECS agent has registered anew', () => (lost().registeredAt = clock.now())],
])('a node stays DRAINING when %s since a sweep drained it', async (_title, change) => {
  change();
  expect(await deedsOf()).toEqual(['note i-lost draining']);
});

test('a node is left to a person when no sweep has run for days since a sweep drained it', async () => {
  clock.jump(50 * hour);
  expect(await deedsOf()).toEqual([]);
  clock.jump(24 * hour);
  lost().runningTasks = 0;
  expect(await deedsOf()).toEqual([]);
  expect(whyOf(await run(), 'i-lost')).toMatch(/another party may have since/);
});

test('a node that a daily sweep drained is ACTIVE again after the next run', async () => {
  clock.jump(24 * hour + 5_000);
  expect(await deedsOf()).toEqual(['activate i-lost', 'forget i-lost']);
});

test('a node stays DRAINING when it queues to leave between the survey and the deed', async () => {
  fleet.before = (call) => {
    if (call === 'readContainerInstancesOf i-lost') lost().leavesSince = clock.now();
  };
  expect(await deedsOf()).toEqual([]);
});

// Its tasks ended with it an hour later: the mark of the node counted only with a connected agent.
test('a node without its ECS agent is not ended that a person drained after a sweep, to examine it', async () => {
  Object.assign(lost(), { agentConnected: false, leavesSince: clock.now() });
  clock.jump(hour);
  expect(await deedsOf()).not.toContain('terminate i-lost');
});
