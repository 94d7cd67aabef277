import { describe, expect, it } from 'vitest';
import { openWatchedPaths } from '../../../agent/docker-root.ts';
import { freeDisk } from '../../../agent/free-disk.ts';
import { ConfigError, Unavailable } from '../../../core/errors.ts';
import { paths } from '../../../core/state/state.ts';
import { someImage } from '../../fakes/docker.ts';
import { openFakeHost } from '../../fakes/host.ts';
import { someDisk } from '../../fakes/machine.ts';
import { configOf, never } from './stage.ts';

/**
 * A node whose only disk is full, with the ECS agent's pause image and three images of 10 % each.
 */
function fullNode(usedPercent = 95, usedInodesPercent = 10) {
  const { host, world, clock } = openFakeHost();
  let used = usedPercent;
  let usedInodes = usedInodesPercent;
  const fill = () => {
    for (const path of ['/', '/var/lib/docker', '/data']) {
      world.machine.disks.set(path, {
        ...someDisk('/', used, usedInodes),
        path,
        mountPath: path === '/data' ? path : '/',
      });
    }
  };
  fill();
  world.docker.images.push(someImage('app:3', 3), someImage('app:1', 1), someImage('app:2', 2));
  world.docker.onRemove = () => {
    used -= 10;
    usedInodes -= 10;
    fill();
  };
  const config = configOf();
  const free = (given = config) => clock.finish(freeDisk(host, given, openWatchedPaths(given), never));
  const left = () => world.docker.images.flatMap(({ names }) => names);
  const told = () => world.log.map(({ message, fields }) => `${message} ${JSON.stringify(fields)}`).join('\n');
  return { host, world, clock, free, left, told };
}

const pause = 'amazon/amazon-ecs-pause:0.1.0';

describe('freeing a disk', () => {
  // All unused images were removed at once, the pause image too: no task in awsvpc mode started any
  // more.
  it('removes the oldest images, one by one, until the disk is clear, and never those of the ECS agent', async () => {
    const { free, left } = fullNode();
    await free();
    expect(left()).toEqual([pause, 'app:3']);
  });

  it('removes images until enough inodes are free', async () => {
    const { free, left } = fullNode(40, 105);
    await free();
    expect(left()).toEqual([pause]);
  });

  // Each question about them read both files again.
  it("reads the ECS agent's settings once", async () => {
    const { world, free } = fullNode();
    await free();
    expect(world.calls.of('readText').filter(({ args }) => args[0] === paths.ecsConfig)).toHaveLength(1);
  });

  it('removes the images that it may, and names the stopped containers that hold the others', async () => {
    const { world, free, left, told } = fullNode(99);
    world.docker.containers = ['app:1', 'app:2'].map((name) => ({
      name: `ecs-${name}`,
      imageId: someImage(name, 1).id,
      state: 'exited',
    }));
    await free();
    expect(left()).toEqual([pause, 'app:1', 'app:2']);
    expect(told()).toMatch(/no image is left to remove.*ecs-app:1.*ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION/);
  });

  it.each(['once', 'prefer-cached'])('removes nothing where the ECS agent pulls %s, and says so', async (behavior) => {
    const { world, free, left, told } = fullNode();
    world.machine.files.set(paths.ecsConfig, `ECS_IMAGE_PULL_BEHAVIOR=${behavior}\n`);
    await free();
    expect(left()).toHaveLength(4);
    expect(told()).toContain(`ECS_IMAGE_PULL_BEHAVIOR=${behavior}`);
  });

  it("reads the machine image's settings of the ECS agent too, and the operator's win", async () => {
    const { world, free, left } = fullNode();
    world.machine.files.set(paths.imageEcsConfig, 'ECS_IMAGE_PULL_BEHAVIOR=once\n');
    await free();
    expect(left()).toHaveLength(4);
    world.machine.files.set(paths.ecsConfig, 'ECS_IMAGE_PULL_BEHAVIOR=default\n');
    await free();
    expect(left()).toEqual([pause, 'app:3']);
  });

  it('removes nothing when a list of kept images, or the ECS configuration, cannot be read', async () => {
    for (const path of [`${paths.keepImages}/a.list`, paths.ecsConfig]) {
      const { world, free, left, told } = fullNode();
      world.machine.files.set(path, new ConfigError([{ path, problem: 'is not UTF-8 text' }]));
      await free();
      expect(left()).toHaveLength(4);
      expect(told()).toMatch(/images not removed.*not UTF-8/);
    }
  });

  it("removes nothing when another disk than the one with Docker's images is full", async () => {
    const { world, free, left } = fullNode();
    world.docker.store = { root: '/data', imagesInContainerd: false };
    world.machine.disks.set('/data', { ...someDisk('/data', 20), mountPath: '/data' });
    await free();
    expect(left()).toHaveLength(4);
  });

  it('removes nothing more once the disk cannot be measured', async () => {
    const { world, free, left } = fullNode();
    const { onRemove } = world.docker;
    world.docker.onRemove = (image) => {
      onRemove?.(image);
      world.machine.unmeasured.set('/var/lib/docker', 'its file system still hangs');
    };
    await free();
    expect(left()).toHaveLength(3);
  });

  it('continues with the next image when one cannot be removed', async () => {
    const { world, free, left, told } = fullNode();
    world.calls.fails('removeImage', new Unavailable('no space left on device'), 1);
    await free();
    expect(left()).toEqual([pause, 'app:1']);
    expect(told()).toContain('no space left on device');
  });

  it('waits a limited time for a starting task, which may need an image that no container uses yet', async () => {
    const { host, world, clock, free, left } = fullNode();
    const own = world.joinCluster();
    const task = world.cluster.addTask(own.arn, { lastStatus: 'PENDING' });
    void freeDisk(host, configOf(), openWatchedPaths(configOf()), never);
    await clock.run(10_000);
    expect(left()).toHaveLength(4);
    task.lastStatus = 'RUNNING';
    await clock.run(5_000);
    expect(left().length).toBeLessThan(4);
    task.lastStatus = 'PENDING';
    await free();
    expect(left()).toEqual([pause, 'app:3']);
  });

  it('waits for minutes where a task may wait for other containers with its image pulled already', async () => {
    const { host, world, clock, left } = fullNode();
    const task = world.cluster.addTask(world.joinCluster().arn, { lastStatus: 'PENDING' });
    world.machine.files.set(paths.ecsConfig, 'ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT=true\n');
    void freeDisk(host, configOf(), openWatchedPaths(configOf()), never);
    await clock.run(180_000);
    expect(left()).toHaveLength(4);
    task.lastStatus = 'RUNNING';
    await clock.run(5_000);
    expect(left().length).toBeLessThan(4);
  });

  it('waits also for a starting task that the ECS agent does not name', async () => {
    const { host, world, clock, left } = fullNode();
    world.cluster.addTask(world.joinCluster().arn, { lastStatus: 'PENDING', unnamed: true });
    void freeDisk(host, configOf(), openWatchedPaths(configOf()), never);
    await clock.run(10_000);
    expect(left()).toHaveLength(4);
  });

  it("throws only the signal's reason, also where Docker is dead", async () => {
    const { world, free, told } = fullNode();
    world.docker.state = 'dead';
    await free();
    expect(told()).toContain('Docker does not listen');
  });
});
