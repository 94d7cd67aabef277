import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { openDocker } from '../../../host/docker.ts';
import { waitFor } from '../../../simulator/wait-for.ts';
import { serve, type Answer } from './local-server.ts';
import { stopTimers } from './stop-timers.ts';

stopTimers();

const patient = new AbortController().signal;

/** Docker's Engine API on a socket below a root of its own. */
async function node(answer?: Answer) {
  // Short: a socket's path has at most 107 characters.
  const root = mkdtempSync(join(tmpdir(), 'd-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, 'var/run'), { recursive: true });
  const socket = join(root, 'var/run/docker.sock');
  const server = answer === undefined ? undefined : await serve(answer, socket);
  return { docker: openDocker(root), asked: server?.asked ?? [] };
}

const json = (value: unknown) => ({ body: JSON.stringify(value) });

test("finds Docker's root whatever set it, and whether containerd keeps the images", async () => {
  const answers = [
    { DockerRootDir: '/data/docker', Driver: 'overlay2', DriverStatus: [['Backing Filesystem', 'xfs']] },
    {
      DockerRootDir: '/var/lib/docker',
      Driver: 'overlayfs',
      DriverStatus: [['driver-type', 'io.containerd.snapshotter.v1']],
      Containerd: { Address: '/run/containerd/containerd.sock' },
    },
  ];
  const { docker } = await node(() => json(answers.shift()));
  expect(await docker.readStore(patient)).toEqual({ root: '/data/docker', imagesInContainerd: false });
  expect(await docker.readStore(patient)).toEqual({
    root: '/var/lib/docker',
    imagesInContainerd: true,
    containerdSocket: '/run/containerd/containerd.sock',
  });
});

test('lists images with their names; an image built in 1970 is as old as its arrival on this node', async () => {
  const { docker } = await node(({ path }) => {
    if (path === '/images/sha256:b/json') {
      return json({ Created: '1970-01-01T00:00:00Z', Metadata: { LastTagTime: '2025-03-01T00:00:00Z' } });
    }
    const exact = { a: '2023-11-14T22:13:20.25Z', c: '2023-11-14T22:13:20.123456789Z' };
    const [, id] = /^\/images\/sha256:(.)\/json$/.exec(path) ?? [];
    if (id !== undefined) return json({ Created: exact[id as 'a' | 'c'] });
    return json([
      { Id: 'sha256:a', RepoTags: ['app:1', 'app:latest'], RepoDigests: ['app@sha256:1'], Created: 1_700_000_000 },
      { Id: 'sha256:b', RepoTags: ['bazel:1'], RepoDigests: null, Created: 0 },
      { Id: 'sha256:c', RepoTags: ['<none>:<none>'], RepoDigests: ['<none>@<none>'], Created: 1_700_000_000 },
    ]);
  });
  expect(await docker.readImages(patient)).toEqual([
    { id: 'sha256:a', names: ['app:1', 'app:latest'], digests: ['app@sha256:1'], createdAt: 1_700_000_000_250 },
    { id: 'sha256:b', names: ['bazel:1'], digests: [], createdAt: Date.UTC(2025, 2, 1) },
    { id: 'sha256:c', names: [], digests: [], createdAt: 1_700_000_000_123 },
  ]);
});

test("names the task of a container by the ECS agent's label, whatever the container's name is", async () => {
  const taskArn = 'arn:aws:ecs:eu-central-1:123456789012:task/demo/f0';
  const labels = [{ 'com.amazonaws.ecs.task-arn': taskArn }, { app: 'exporter' }, {}, null, 'odd', undefined];
  const { docker } = await node(() =>
    json(labels.map((Labels) => ({ Names: ['/ecs-web-1'], ImageID: 'sha256:a', State: 'running', Labels }))),
  );
  const containers = await docker.readContainers(patient);
  expect(containers.map((container) => container.taskArn)).toEqual([taskArn, ...Array(5).fill(undefined)]);
});

test('lists stopped containers, because they need their image as well', async () => {
  const { docker, asked } = await node(() =>
    json([{ Id: 'c1', Names: ['/ecs-web-1'], ImageID: 'sha256:a', State: 'exited' }]),
  );
  expect(await docker.readContainers(patient)).toEqual([{ name: 'ecs-web-1', imageId: 'sha256:a', state: 'exited' }]);
  expect(asked[0]?.path).toBe('/containers/json?all=1');
});

test('removes one image by its name, without force', async () => {
  const statuses = [200, 404, 409];
  const { docker, asked } = await node(() => ({ status: statuses.shift()!, body: '[]' }));
  expect(await docker.removeImage('registry.example.com:5000/team/app:1', patient)).toBe('removed');
  expect(await docker.removeImage('a@sha256:1', patient)).toBe('absent');
  expect(await docker.removeImage('app', patient)).toBe('in use');
  expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
    'DELETE /images/registry.example.com:5000/team/app:1',
    'DELETE /images/a%40sha256:1',
    'DELETE /images/app',
  ]);
});

test.each([
  ['a daemon in trouble', { status: 500, body: '{"message":"no space left"}' }, Unavailable, /no space left/],
  ['a daemon that forbids it', { status: 403, body: '{"message":"authorization denied"}' }, Refused, /denied/],
  ['something that is not Docker', { status: 400, body: '<html>' }, Refused, /answered 400/],
])('the removal of an image %s is reported as such', async (_, reply, Kind, message) => {
  const { docker } = await node(() => reply);
  const removing = docker.removeImage('app:1', patient);
  await expect(removing).rejects.toThrow(Kind);
  await expect(removing).rejects.toThrow(message);
});

test.each([
  ['that is not JSON', '<html>'],
  ['without a root', '{}'],
])('an answer %s counts as no answer', async (_, body) => {
  const { docker } = await node(() => ({ body }));
  await expect(docker.readStore(patient)).rejects.toThrow(Unavailable);
});

test('a container without an image in the answer keeps every image', async () => {
  const { docker } = await node(() => json([{ Id: 'c1', Names: [], State: 'running' }]));
  await expect(docker.readContainers(patient)).rejects.toThrow(Unavailable);
});

test.each(['{}', 'null', '"x"', '{"message":"page not found"}'])(
  'the answer %s to a request for a list counts as no answer: every image stays',
  async (body) => {
    const { docker } = await node(() => ({ body }));
    await expect(docker.readContainers(patient)).rejects.toThrow(Unavailable);
    await expect(docker.readImages(patient)).rejects.toThrow(Unavailable);
  },
);

test('without Docker, every call fails within a moment and says so', async () => {
  const { docker } = await node();
  await expect(docker.ping(patient)).rejects.toThrow(/Docker does not listen at .*docker\.sock/);
});

test('a Docker that accepts a call and never answers is given up after five seconds', async () => {
  const { docker, asked } = await node(() => undefined);
  const outcomes: string[] = [];
  const ping = docker.ping(patient).catch((error: Error) => void outcomes.push(error.message));
  await waitFor('it is asked', () => asked.length === 1);
  await vi.advanceTimersByTimeAsync(4_999);
  expect(outcomes).toEqual([]);
  vi.advanceTimersByTime(1);
  await ping;
  expect(outcomes).toEqual([expect.stringMatching(/no answer within 5 s/)]);
});
