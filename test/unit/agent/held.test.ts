/** A person may hold a node in several ways, and not knowing is no answer. */

import { describe, expect, it } from 'vitest';
import { findHolder } from '../../../agent/held.ts';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { paths, renderState } from '../../../core/state/state.ts';
import { groupTag } from '../../../upkeep/group-tag.ts';
import { never, setStage, type Stage } from './stage.ts';

const denied = new Refused('not authorized', { code: 'UnauthorizedOperation' });
const find = ({ host, world }: Stage, beforeEnd = true) => world.clock.finish(findHolder(host, beforeEnd, never));

const put = ({ world }: Stage, action: 'leave' | 'stay', terminate: boolean) => {
  const request = { instanceId: world.identity.instanceId, id: 'r', action, reason: 'the rack', terminate, at: 0 };
  world.machine.files.set(paths.request, renderState(request));
};

describe('a node', () => {
  it('is free in service', async () => {
    expect(await find(setStage())).toBeUndefined();
  });

  it.each([
    ['leave', false, 'a person drained it to stay (--no-terminate)'],
    ['leave', true, undefined],
    ['stay', false, undefined],
  ] as const)('is held by a request to %s (terminate: %s): %s', async (action, terminate, holder) => {
    const stage = setStage();
    put(stage, action, terminate);
    expect(await find(stage)).toBe(holder);
  });

  it.each(['Standby', 'Detached'])('is held in %s, as the metadata service or its group says', async (state) => {
    const stage = setStage();
    const words = `the node is ${state} in its group`;
    stage.world.metadata.targetState = state;
    expect(await find(stage)).toBe(words);
    stage.world.metadata.targetState = undefined;
    stage.group.lifecycleState = state;
    expect(await find(stage)).toBe(words);
    // Before an end, the group is asked as well: the metadata may be stale.
    stage.world.metadata.targetState = 'InService';
    expect(await find(stage)).toBe(words);
    expect(await find(stage, false)).toBeUndefined();
  });

  it.each(['in the metadata', 'in AWS'])('is held by the tag ecs-node:keep, %s, also an empty one', async (where) => {
    const stage = setStage();
    if (where === 'in AWS') stage.world.instance.tags['ecs-node:keep'] = '';
    else stage.world.metadata.tags = { 'ecs-node:keep': '' };
    expect(await find(stage)).toBe('the instance has the tag ecs-node:keep');
  });

  // The warning said that the tag was unknown, and to show the tags, which the metadata showed.
  it('is free, without a warning, where the metadata show its tags and the role may not ask EC2', async () => {
    const stage = setStage();
    stage.world.metadata.tags = { Name: 'web' };
    stage.world.calls.fails('readOwnTags', denied);
    expect(await find(stage)).toBeUndefined();
    expect(stage.world.calls.of('readOwnTags')).toHaveLength(1);
    expect(stage.world.log.filter(({ level }) => level === 'warn')).toEqual([]);
  });

  it('is not known to be free where the list of its tags lacks that of its group', async () => {
    const stage = setStage();
    stage.host.cloud = { ...stage.host.cloud, readOwnTags: async () => ({}) };
    await expect(find(stage)).rejects.toThrow(Unavailable);
    stage.world.metadata.targetState = undefined;
    await expect(find(stage)).rejects.toThrow(groupTag);
    stage.world.group = undefined;
    expect(await find(stage)).toBeUndefined();
  });

  it('is not known to be free where the role may not read its tags, and only its end waits for that', async () => {
    const stage = setStage();
    stage.world.calls.fails('readOwnTags', denied);
    await expect(find(stage)).rejects.toThrow('the node does not end itself');
    expect(await find(stage, false)).toBeUndefined();
    stage.world.metadata.tags = {};
    expect(await find(stage)).toBeUndefined();
  });

  it('is free as far as the metadata service says where the role may not ask its group', async () => {
    const stage = setStage();
    stage.world.calls.fails('readMembership', denied);
    for (const target of [undefined, 'InService']) {
      stage.world.metadata.targetState = target;
      expect(await find(stage)).toBeUndefined();
    }
  });

  it.each(['readText', 'readTargetState', 'readTags', 'readOwnTags', 'readMembership'])(
    'is not known to be free while %s gets no answer',
    async (verb) => {
      const stage = setStage();
      stage.world.calls.fails(verb, new Unavailable('silent'));
      await expect(find(stage)).rejects.toThrow(new Unavailable('silent'));
      await expect(find(stage)).rejects.toThrow(Unavailable);
    },
  );
});
