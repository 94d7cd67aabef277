/** Half an answer, and one wrong state, before deeds that nothing undoes by itself. */

import { beforeEach, expect, test } from 'vitest';
import { addNode, addNote } from '../../../fakes/fleet-nodes.ts';
import { addHealthy, clock, deedsOf, fleet, hour, renewFleet } from './run.ts';

const id = 'i-odd';

beforeEach(() => {
  renewFleet();
  addHealthy(9);
});

// An earlier sweep drained it, it came back, and then a person drained it. The record came without
// its attributes for a moment, and the node was ACTIVE for ever.
test.each([
  ['half a minute', 30_000, [`note ${id} draining`]],
  ['ever, so nobody has drained it (control)', Infinity, [`activate ${id}`, `forget ${id}`]],
])('a node is made ACTIVE where ECS names nobody who drained it for %s', async (_what, ms, deeds) => {
  const leavesSince = clock.now() - hour / 2;
  addNode(fleet, id, clock.now() - 5 * hour, { instance: { status: 'DRAINING' } });
  addNote(fleet, id, 'drained', clock.now() - hour);
  const began = clock.uptime();
  Object.defineProperty(fleet.instances.get(id)!, 'leavesSince', {
    get: () => (clock.uptime() - began < ms ? undefined : leavesSince),
    enumerable: true,
  });
  expect(await deedsOf()).toEqual(deeds);
});

// Auto Scaling's lists and its answers about the one instance may be wrong together for a moment.
test("a person's protection stays on a node that Auto Scaling calls Terminating for 45 s", async () => {
  addNode(fleet, id, clock.now(), { member: { lifecycleState: 'Terminating:Wait' } });
  fleet.protectedIds.add(id);
  clock.schedule(45_000, () => (fleet.members.get(id)!.lifecycleState = 'InService'));
  expect(await deedsOf({ stack: 'stack' })).toEqual([]);
});

test.each([
  ['in one list only', 1, []],
  ['in the lists of both surveys only', 2, []],
  ['each time (control)', Infinity, [`clear ${id}`]],
])("a person's protection is cleared when its group terminates the node: so %s", async (_what, lies, deeds) => {
  addNode(fleet, id, clock.now());
  fleet.protectedIds.add(id);
  const { readGroups, readMember } = fleet;
  let left = lies;
  const lie = { lifecycleState: 'Terminating:Wait' };
  fleet.readGroups = async (...args) => {
    const groups = await readGroups(...args);
    if (left-- <= 0) return groups;
    const wrong = groups.map((group) => ({
      ...group,
      members: group.members.map((member) => (member.instanceId === id ? { ...member, ...lie } : member)),
    }));
    return wrong;
  };
  fleet.readMember = async (...args) => {
    const member = await readMember(...args);
    return member !== undefined && left > 0 ? { ...member, ...lie } : member;
  };
  expect(await deedsOf({ stack: 'stack' })).toEqual(deeds);
});
