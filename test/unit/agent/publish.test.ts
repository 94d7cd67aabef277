import { describe, expect, it } from 'vitest';
import { metricsOf } from '../../../agent/metrics/sample.ts';
import { publishMetrics } from '../../../agent/publish.ts';
import { Unavailable } from '../../../core/errors.ts';
import { groupTag } from '../../../upkeep/group-tag.ts';
import { someDisk } from '../../fakes/machine.ts';
import { configOf, never, setStage } from './stage.ts';

const gigabyte = 2 ** 30;
const config = configOf({ metrics: { enabled: true } });

describe('metrics', () => {
  const sample = {
    instanceId: 'i-1',
    cluster: 'demo',
    group: 'web',
    disks: [{ ...someDisk('/', 40, 10), filesystem: '/dev/xvda1' }],
    memory: { totalBytes: 8 * gigabyte, availableBytes: 6 * gigabyte, swapTotalBytes: 0, swapFreeBytes: 0 },
    at: 1,
  };

  it('of disks have the names, units and dimensions of the old monitoring scripts', () => {
    const own = metricsOf(sample).filter(({ dimensions }) => 'MountPath' in dimensions);
    const dimensions = { InstanceId: 'i-1', Filesystem: '/dev/xvda1', MountPath: '/' };
    expect(own.map(({ name, unit, value }) => [name, unit, Math.round(value)])).toEqual([
      ['DiskSpaceUtilization', 'Percent', 40],
      ['DiskSpaceUsed', 'Gigabytes', 12],
      ['DiskSpaceAvailable', 'Gigabytes', 18],
      ['DiskInodesUtilization', 'Percent', 10],
    ]);
    for (const metric of own) expect(metric.dimensions).toEqual(dimensions);
  });

  it('are published once for the node, once for its group and once for its cluster', () => {
    for (const name of ['DiskSpaceUtilization', 'MemoryUtilization', 'SwapUsed']) {
      const dimensions = metricsOf(sample)
        .filter((metric) => metric.name === name)
        .map((metric) => Object.keys(metric.dimensions).join('+'));
      expect(dimensions.slice(1)).toEqual(['ClusterName', 'AutoScalingGroupName']);
    }
  });

  it('are only those of the cluster and the group where a metric for each node costs too much', () => {
    const dimensions = metricsOf(sample, false).map((metric) => Object.keys(metric.dimensions).join('+'));
    expect(new Set(dimensions)).toEqual(new Set(['ClusterName', 'AutoScalingGroupName']));
    expect(dimensions).toHaveLength((metricsOf(sample).length / 3) * 2);
  });

  it('are numbers that CloudWatch accepts, also for a disk or a memory of size zero', () => {
    const nothing = { ...sample.disks[0]!, totalBytes: 0, usedBytes: 0, freeBytes: 0, totalInodes: 0, freeInodes: 0 };
    const memory = { totalBytes: 0, availableBytes: 0, swapTotalBytes: 0, swapFreeBytes: 0 };
    for (const { value } of metricsOf({ ...sample, disks: [nothing], memory })) expect(value).toBe(0);
  });
});

describe('publishing', () => {
  it('reads the name of the group from the tags, without a call to Auto Scaling', async () => {
    const { host, world } = setStage(config);
    world.metadata.tags = { [groupTag]: 'web' };
    void publishMetrics(host, config, () => undefined, never).catch(() => {});
    await world.clock.run(31_000);
    expect(world.calls.of('readMembership')).toEqual([]);
    expect(world.published[0]!.metrics).toContainEqual(
      expect.objectContaining({ dimensions: { AutoScalingGroupName: 'web' } }),
    );
  });

  it('makes one call every five minutes, the first soon after the start, with each file system once', async () => {
    const { host, world } = setStage(config);
    world.docker.store = { root: '/data/docker', imagesInContainerd: false };
    world.machine.disks.set('/data/docker', { ...someDisk('/data/docker'), mountPath: '/data' });
    void publishMetrics(host, config, () => undefined, never).catch(() => {});
    await world.clock.run(31_000);
    expect(world.published).toHaveLength(1);
    await world.clock.run(3_600_000);
    expect(world.published.length).toBeGreaterThanOrEqual(11);
    expect(world.published.length).toBeLessThanOrEqual(14);
    const mounts = world.published[0]!.metrics.flatMap(({ dimensions }) => dimensions['MountPath'] ?? []);
    expect(new Set(mounts)).toEqual(new Set(['/', '/data']));
    expect(world.calls.of('readMembership')).toHaveLength(1);
  });

  it('continues after any failure, without values that cannot be measured', async () => {
    const { host, world } = setStage(config);
    world.calls.fails('publish', new Unavailable('throttled'), 2);
    world.calls.fails('readMembership', new Unavailable('throttled'), 1);
    world.calls.fails('measureDisks', new Unavailable('no df'), 1);
    world.machine.unmeasured.set('/', 'its file system still hangs');
    void publishMetrics(host, config, () => undefined, never).catch(() => {});
    await world.clock.run(3_600_000);
    expect(world.published.length).toBeGreaterThan(8);
    expect(world.published.at(-1)!.metrics.map(({ name }) => name)).toContain('MemoryUtilization');
  });

  it('tells a failure once, and the next one again', async () => {
    const { host, world } = setStage(config);
    const told = () => world.log.filter(({ message }) => message === 'metrics not published').length;
    void publishMetrics(host, config, () => undefined, never).catch(() => {});
    for (const times of [1, 2]) {
      world.calls.fails('publish', new Unavailable('throttled'));
      await world.clock.run(20 * 60_000);
      expect(told()).toBe(times);
      world.calls.heals();
      await world.clock.run(10 * 60_000);
    }
    expect(world.calls.of('writeShared')).toEqual([]);
  });

  const textfile = '/run/ecs-node/metrics/ecs-node.prom';

  it('writes the same to a file for node_exporter, also without CloudWatch', async () => {
    const own = configOf({ metrics: { enabled: false, textfile } });
    const { host, world } = setStage(own);
    void publishMetrics(host, own, () => 1, never).catch(() => {});
    await world.clock.run(31_000);
    expect(world.published).toEqual([]);
    const text = String(world.machine.files.get(textfile));
    expect(text).toContain('ecs_node_upkeep_failing{cluster="demo",group="web",instance_id="i-');
    expect(text).toMatch(/^ecs_node_memory_used_bytes\{.*\} \d+$/m);
    expect(text.endsWith('\n# EOF\n')).toBe(true);
  });

  it('reaches CloudWatch although the file cannot be written, and the file although CloudWatch is away', async () => {
    const own = configOf({ metrics: { enabled: true, textfile } });
    const { host, world } = setStage(own);
    world.calls.fails('writeShared', new Unavailable('ENOSPC'), 1);
    void publishMetrics(host, own, () => undefined, never).catch(() => {});
    await world.clock.run(31_000);
    expect(world.published).toHaveLength(1);
    world.calls.fails('publish', new Unavailable('away'));
    await world.clock.run(400_000);
    expect(world.published).toHaveLength(1);
    expect(world.machine.files.has(textfile)).toBe(true);
  });

  it('publishes nothing for this node by itself where that is switched off', async () => {
    const own = configOf({ metrics: { enabled: true, perInstance: false } });
    const { host, world } = setStage(own);
    void publishMetrics(host, own, () => undefined, never).catch(() => {});
    await world.clock.run(31_000);
    const names = world.published[0]!.metrics.flatMap(({ dimensions }) => Object.keys(dimensions));
    expect(new Set(names)).toEqual(new Set(['ClusterName', 'AutoScalingGroupName']));
  });
});
