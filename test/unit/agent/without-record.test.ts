import { describe, expect, it } from 'vitest';
import { mayLeaveWithoutRecord, slotOf } from '../../../agent/leave-queue/without-record.ts';
import { Unavailable } from '../../../core/errors.ts';
import { never, setStage } from './stage.ts';

const minute = 60_000;

/** A node without a record, beside another one. The metadata service's clock is in its minute. */
function setNode() {
  const stage = setStage();
  const { world, own, host } = stage;
  world.cluster.instances = world.cluster.instances.filter(({ arn }) => arn !== own.arn);
  world.cluster.addInstance();
  const served = (slotOf(world.identity.instanceId) + 180 * 100_000) * minute + 10_000;
  world.metadata.now = () => served;
  const mayLeave = (everyMs = minute) => mayLeaveWithoutRecord(host, { cluster: 'demo', everyMs }, never);
  return { stage, served, mayLeave };
}

describe('a node that ECS does not know', () => {
  it("may leave in its own minute by the metadata service's clock, and in no other", async () => {
    const { stage, served, mayLeave } = setNode();
    expect(await mayLeave()).toBe(true);
    for (const minutes of [-1, 1, 90, 179]) {
      stage.world.metadata.now = () => served + minutes * minute;
      expect(await mayLeave()).toBe(false);
    }
  });

  // With checks every ten minutes, nine of ten nodes missed their minute in each three hours.
  it('may leave at the next check after its minute began, where checks are rare', async () => {
    const { stage, served, mayLeave } = setNode();
    for (const [minutes, may] of [
      [-1, false],
      [0, true],
      [9, true],
      [10, false],
    ] as const) {
      stage.world.metadata.now = () => served + minutes * minute;
      expect(await mayLeave(10 * minute)).toBe(may);
    }
  });

  it('stays while another node of its group ended lately', async () => {
    const { stage, served, mayLeave } = setNode();
    const ended = { kind: 'terminate', instanceId: 'i-0fedcba9876543210', succeeded: true } as const;
    stage.group.activities.push({ ...ended, at: served - 29 * minute });
    expect(await mayLeave()).toBe(false);
    stage.group.activities.splice(-1, 1, { ...ended, at: served - 31 * minute });
    expect(await mayLeave()).toBe(true);
  });

  it('may leave where only others were launched lately, or only itself ended', async () => {
    const { stage, served, mayLeave } = setNode();
    const { instanceId } = stage.world.identity;
    const at = served - minute;
    stage.group.activities.push(
      { kind: 'launch', instanceId: 'i-0fedcba9876543210', succeeded: true, at },
      { kind: 'terminate', instanceId, succeeded: false, at },
    );
    expect(await mayLeave()).toBe(true);
  });

  it('stays where ECS reports no node at all, and where no group would replace it', async () => {
    const { stage, mayLeave } = setNode();
    const { cluster } = stage.world;
    stage.world.group = undefined;
    expect(await stage.world.clock.finish(mayLeave())).toBe(false);
    stage.world.group = stage.group;
    cluster.instances = [];
    await expect(mayLeave()).rejects.toThrow('ECS reports no node in this cluster');
  });

  it('stays while no history of its group can be had, and asks again after an empty one', async () => {
    const { stage, served } = setNode();
    const { host } = stage;
    stage.group.activities.push({
      kind: 'terminate',
      instanceId: 'i-0fedcba9876543210',
      at: served - minute,
      succeeded: true,
    });
    let empty = 1;
    const readActivities: typeof host.cloud.readActivities = async (...args) =>
      empty-- > 0 ? [] : host.cloud.readActivities(...args);
    const deaf = { ...host, cloud: { ...host.cloud, readActivities } };
    expect(await mayLeaveWithoutRecord(deaf, { cluster: 'demo', everyMs: minute }, never)).toBe(false);
    empty = Infinity;
    await expect(mayLeaveWithoutRecord(deaf, { cluster: 'demo', everyMs: minute }, never)).rejects.toThrow(Unavailable);
  });

  it.each([
    ['gives no date', async () => undefined],
    ['fails', () => Promise.reject(new Unavailable('no answer'))],
    ['hangs', () => new Promise<undefined>(() => {})],
  ])('stays where the metadata service %s: its own clock may be wrong', async (_, readTime) => {
    const { stage, served } = setNode();
    const { host, world } = stage;
    world.clock.jump(served - host.clock.now());
    const blind = { ...host, metadata: { ...host.metadata, readTime } };
    const ended = mayLeaveWithoutRecord(blind, { cluster: 'demo', everyMs: minute }, never).catch(
      (error: unknown) => error,
    );
    expect(await world.clock.finish(ended, minute)).toEqual(
      new Unavailable('the metadata service does not tell the time'),
    );
  });
});
