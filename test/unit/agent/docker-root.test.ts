import { describe, expect, it, test } from 'vitest';
import { openWatchedPaths, parseContainerdRoot, readConfiguredRoot } from '../../../agent/docker-root.ts';
import { paths } from '../../../core/state/state.ts';
import { openFakeHost } from '../../fakes/host.ts';
import { configOf, never } from './stage.ts';

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

test("the root key of another TOML table is not containerd's root", () => {
  expect(parseContainerdRoot('[plugins]\n  root = "/x"\n')).toBeUndefined();
  expect(parseContainerdRoot("  root='/y'\n")).toBe('/y');
});
