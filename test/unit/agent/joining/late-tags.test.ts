import { describe, expect, it } from 'vitest';
import { setLateTags } from '../../../../agent/joining/late-tags.ts';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { paths, renderState } from '../../../../core/state/state.ts';
import { never, setStage } from '../stage.ts';

const hour = 3_600_000;
const tags = { Name: 'demo ECS - ip-10-0-0-7' };

function stageWith(instanceId?: string) {
  const stage = setStage();
  const text = renderState({ instanceId: instanceId ?? stage.world.identity.instanceId, tags });
  stage.world.machine.files.set(paths.lateTags, text);
  return { ...stage, finish: () => stage.world.clock.finish(setLateTags(stage.host, never), 3 * hour) };
}

describe('late tags', () => {
  it('are set by the agent, once', async () => {
    const { world, finish } = stageWith();
    world.calls.fails('tagSelf', new Unavailable('RequestLimitExceeded'), 3);
    await finish();
    expect(world.instance.tags).toEqual(tags);
    expect(world.machine.files.has(paths.lateTags)).toBe(false);
    await finish();
    expect(world.calls.of('tagSelf')).toHaveLength(4);
  });

  it('are set rarely while EC2 is busy with other nodes', async () => {
    const { host, world } = stageWith();
    world.calls.fails('tagSelf', new Unavailable('RequestLimitExceeded'));
    void setLateTags(host, never).catch(() => {});
    await world.clock.run(hour);
    expect(world.calls.of('tagSelf').length).toBeLessThanOrEqual(16);
    expect(world.calls.of('tagSelf').length).toBeGreaterThanOrEqual(6);
  });

  // A group had propagated 49 tags. The name was refused once, and never tried again when a tag was
  // free.
  it.each(['UnauthorizedOperation', 'TagLimitExceeded', 'TagPolicyViolation'])(
    'are set after a refusal with %s once a person has fixed it, with one call an hour',
    async (code) => {
      const { host, world } = stageWith();
      world.calls.fails('tagSelf', new Refused('no', { code }));
      void setLateTags(host, never).catch(() => {});
      await world.clock.run(10 * hour);
      expect(world.calls.of('tagSelf').length).toBeLessThanOrEqual(20);
      expect(world.log.filter(({ message }) => message === 'late tags not set')).toHaveLength(1);
      world.calls.heals();
      await world.clock.run(2 * hour);
      expect(world.instance.tags).toEqual(tags);
    },
  );

  it('belong to one instance: a file from an image is ignored', async () => {
    const foreign = stageWith('i-00000000000000bad');
    await foreign.finish();
    expect(foreign.world.calls.of('tagSelf')).toEqual([]);
  });
});
