import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import type { Host, Membership } from '../../../core/host.ts';
import { propagationMs } from '../../../core/retry.ts';
import { groupTag, readMembership } from '../../../upkeep/group-tag.ts';
import { openFakeHost } from '../../fakes/host.ts';

const never = new AbortController().signal;
const member: Membership = { group: 'web', lifecycleState: 'InService', protectedFromScaleIn: false };

/** Auto Scaling gives these answers, the last one from then on. */
function setStage(answers: readonly (Membership | undefined)[]) {
  const { host, world } = openFakeHost();
  let asked = 0;
  const cloud: Host['cloud'] = {
    ...host.cloud,
    readMembership: async () => answers[Math.min(asked++, answers.length - 1)],
  };
  const read = () => world.clock.finish(readMembership({ ...host, cloud }, never));
  return { world, read, count: () => asked };
}

const mayNotReadTags = ({ world }: ReturnType<typeof setStage>) =>
  world.calls.fails('readOwnTags', new Refused('no', { code: 'UnauthorizedOperation' }));

describe('the group of a node', () => {
  it('is what Auto Scaling says, with one call', async () => {
    const stage = setStage([member]);
    expect(await stage.read()).toEqual(member);
    expect(stage.count()).toBe(1);
  });

  // Only the tags were asked: one lost answer took a node with such a role out of its storm guard.
  it('is asked for again after one empty answer, where the role may not read the tags', async () => {
    const stage = setStage([undefined, member]);
    mayNotReadTags(stage);
    expect(await stage.read()).toEqual(member);
  });

  it('is none once Auto Scaling says so for the propagation time', async () => {
    const stage = setStage([undefined]);
    const began = stage.world.clock.uptime();
    expect(await stage.read()).toBeUndefined();
    expect(stage.world.clock.uptime() - began).toBe(propagationMs);
    expect(stage.count()).toBe(2);
  });

  it('is unknown while the tags in EC2 name one', async () => {
    const stage = setStage([undefined]);
    stage.world.instance.tags[groupTag] = 'web';
    await expect(stage.read()).rejects.toBeInstanceOf(Unavailable);
  });

  // The tags that the metadata service shows counted only for the terminate hook.
  it('is unknown while the tags in the metadata name one, where the role may not read those in EC2', async () => {
    const stage = setStage([undefined]);
    mayNotReadTags(stage);
    stage.world.metadata.tags = { [groupTag]: 'web' };
    await expect(stage.read()).rejects.toBeInstanceOf(Unavailable);
  });
});
