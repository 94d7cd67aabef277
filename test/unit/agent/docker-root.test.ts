import { describe, expect, it, test } from 'vitest';
import {
  openWatchedPaths,
  parseContainerdRoot,
  readConfiguredRoot,
  secondAnswerMs,
} from '../../../agent/docker-root.ts';
import { paths } from '../../../core/state/state.ts';
import { someImage } from '../../fakes/docker.ts';
import { openFakeHost } from '../../fakes/host.ts';
import { someDisk } from '../../fakes/machine.ts';
import { configOf, never, setStage } from './stage.ts';

const config = configOf({ disk: { paths: ['/mnt/share'] } });

async function watched(change: (world: ReturnType<typeof openFakeHost>['world']) => void) {
  const { host, world, clock } = openFakeHost();
  change(world);
  return clock.finish(openWatchedPaths(config).list(host, never));
}

describe('the watched disk', () => {
  // A flag in a drop-in of docker.service set the root: its volume ran full unseen.
  it('includes the root that Docker reports, whatever set it', async () => {
    const list = await watched((world) => (world.docker.store = { root: '/data/docker', imagesInContainerd: false }));
    expect(list).toEqual(['/', '/data/docker', '/mnt/share']);
  });

  it("includes containerd's root where containerd keeps the images", async () => {
    const store = { root: '/var/lib/docker', imagesInContainerd: true };
    const plain = await watched((world) => (world.docker.store = store));
    expect(plain).toEqual(['/', '/var/lib/docker', '/var/lib/containerd', '/mnt/share']);
    const moved = await watched((world) => {
      world.docker.store = store;
      world.machine.files.set(paths.containerdConfig, 'version = 3\nroot = "/data/containerd"\n[grpc]\nroot = "x"\n');
    });
    expect(moved).toContain('/data/containerd');
    const own = await watched((world) => {
      world.docker.store = { ...store, containerdSocket: '/var/run/docker/containerd/containerd.sock' };
    });
    expect(own).toContain('/var/lib/docker/containerd/daemon');
  });

  it.each([
    ['{"data-root": "/a"}', '/a'],
    ['{"graph": "/b"}', '/b'],
    ['{"data-root": 5, "graph": "/b"}', '/b'],
    ['{}', '/var/lib/docker'],
    ['null', '/var/lib/docker'],
    ['not JSON', '/var/lib/docker'],
  ])('is the root of daemon.json %s while Docker does not answer', async (text, root) => {
    for (const state of ['dead', 'hung'] as const) {
      const list = await watched((world) => {
        world.docker.state = state;
        world.machine.files.set(paths.dockerConfig, text);
      });
      expect(list).toEqual(['/', root, '/mnt/share']);
    }
    const { host, world } = openFakeHost();
    world.machine.files.set(paths.dockerConfig, text);
    expect(await readConfiguredRoot(host)).toBe(root);
  });

  it('stays the root that Docker last reported, and Docker is asked once in ten minutes', async () => {
    const { host, world, clock } = openFakeHost();
    world.docker.store = { root: '/data/docker', imagesInContainerd: false };
    const { list } = openWatchedPaths(config);
    for (let minute = 0; minute < 25; minute++) {
      expect(await clock.finish(list(host, never))).toContain('/data/docker');
      if (minute === 12) world.docker.state = 'hung';
      await clock.run(60_000);
    }
    expect(world.calls.of('readStore').length).toBeLessThan(10);
  });
});

const minute = 60_000;

describe('another root in an answer of Docker', () => {
  /** A node whose Docker names `roots` in its first answers, and the standard root afterwards. */
  const live = (roots: readonly string[], more: Record<string, unknown> = {}) => {
    const stage = setStage(configOf(more));
    const { world, host } = stage;
    world.machine.disks.set('/boot/docker', { ...someDisk('/boot/docker', 93), mountPath: '/boot' });
    world.docker.images.length = 0;
    for (const n of [1, 2, 3]) world.docker.images.push(someImage(`app:${n}`, n));
    const { readStore } = host.docker;
    const left = [...roots];
    host.docker.readStore = async (...args) => {
      const store = await readStore(...args);
      return { ...store, root: left.shift() ?? store.root };
    };
    return { stage, world, run: (ms: number) => world.clock.run(ms), agent: stage.agent() };
  };
  const asked = (world: ReturnType<typeof live>['world']) => world.calls.of('readStore').length;
  const standard = '/var/lib/docker';
  const full = '/boot/docker';

  // The node measured one answer at three checks, drained, and removed every image.
  it.each([
    ['once', [full]],
    ['once, ten minutes later', [standard, full]],
    ['twice, with its own root in between', [full, standard, full]],
    ['never (control)', []],
  ])('neither drains nor frees a node whose disks are clear when Docker names it %s', async (_, roots) => {
    const { stage, world, run, agent } = live(roots);
    await run(40 * minute);
    expect(world.docker.images).toHaveLength(3);
    expect(stage.deeds()).not.toContain('drain');
    await agent.stop();
  });

  // The second answer came 20 s later, and counted for ten minutes.
  it.each([20, 60])('neither drains nor frees a node whose Docker names it for a minute (checks: %d s)', async (s) => {
    for (const leave of [true, false]) {
      const { stage, world, run, agent } = live([], { disk: { checkSeconds: s, leave } });
      const { readStore } = stage.host.docker;
      let until = -Infinity;
      stage.host.docker.readStore = async (...args) => {
        const store = await readStore(...args);
        return world.clock.uptime() < until ? { ...store, root: full } : store;
      };
      await run(15 * minute);
      const before = asked(world);
      until = Infinity;
      while (asked(world) === before) await run(500);
      until = world.clock.uptime() + minute;
      await run(20 * minute);
      expect(world.docker.images).toHaveLength(3);
      expect(stage.deeds()).not.toContain('drain');
      await agent.stop();
    }
  });

  // A full disk may be why Docker does not answer.
  it.each(['dead', 'hung'] as const)('still counts where Docker is %s afterwards', async (state) => {
    const { stage, world, run, agent } = live(Array<string>(20).fill(full), { disk: { leave: false } });
    while (asked(world) < 2) await run(1_000);
    world.docker.state = state;
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    await agent.stop();
  });

  it('counts once Docker has named it twice, after its start or later', async () => {
    for (const before of [[], [standard]]) {
      const { stage, world, run, agent } = live([...before, ...Array<string>(20).fill(full)], {
        disk: { leave: false },
      });
      await run(before.length * 10 * minute + 5 * minute);
      expect(stage.own.status).toBe('DRAINING');
      expect(world.docker.images).toEqual([]);
      await agent.stop();
    }
  });

  it('costs one question more', async () => {
    const same = live([]);
    const other = live(Array<string>(20).fill(full), { disk: { fullPercent: 99, clearPercent: 98 } });
    for (const { run, agent } of [same, other]) {
      await run(35 * minute);
      await agent.stop();
    }
    expect(asked(same.world)).toBe(4);
    expect(asked(other.world)).toBe(5);
  });

  it('counts at once when daemon.json sets it', async () => {
    const { host, world, clock } = openFakeHost();
    const { list } = openWatchedPaths(config, secondAnswerMs);
    const look = () => clock.finish(list(host, never));
    world.machine.files.set(paths.dockerConfig, '{"data-root": "/a"}');
    world.docker.store = { root: '/a', imagesInContainerd: false };
    expect(await look()).toEqual(['/', '/a', '/mnt/share']);
    world.machine.files.set(paths.dockerConfig, '{"data-root": "/b"}');
    world.docker.store = { root: '/b', imagesInContainerd: false };
    await clock.run(10 * minute);
    expect(await look()).toEqual(['/', '/b', '/mnt/share']);
    expect(asked(world)).toBe(2);
  });

  // The standard root may be the wrong one, too: that of a second Docker.
  it('needs a second answer also where it is the standard root', async () => {
    const { host, world, clock } = openFakeHost();
    const { list } = openWatchedPaths(config, secondAnswerMs);
    const look = async (ms: number) => {
      await clock.run(ms);
      return (await clock.finish(list(host, never)))[1];
    };
    world.docker.store = { root: '/data', imagesInContainerd: false };
    expect(await look(0)).toBe(standard);
    expect(await look(74_000)).toBe(standard);
    expect(await look(1_000)).toBe('/data');
    world.docker.store = { root: standard, imagesInContainerd: false };
    expect(await look(10 * minute)).toBe('/data');
    expect(await look(75_000)).toBe(standard);
  });
});

test("the root key of another TOML table is not containerd's root", () => {
  expect(parseContainerdRoot('[plugins]\n  root = "/x"\n')).toBeUndefined();
  expect(parseContainerdRoot("  root='/y'\n")).toBe('/y');
});
