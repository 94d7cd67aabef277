/**
 * Docker's Engine API over its socket: the health check, the folders of its data, and its images.
 */

import { Refused, Unavailable, messageOf } from '../core/errors.ts';
import type { Docker, DockerContainer, DockerImage, DockerStore } from '../core/host.ts';
import { codeOf } from './files/error-code.ts';
import { openBelow } from './files/files.ts';
import { openLocalService, type LocalRequest } from './http/local-service.ts';

const serviceName = 'Docker';

/** The ECS agent's only socket by default. */
const socket = '/var/run/docker.sock';

/**
 * Docker answers `_ping` and `info` from memory. A daemon that needs longer serves no task either.
 */
const shortMs = 5_000;

/**
 * Docker reads lists from the disk's cache, while a node with a full disk is busy with other work.
 */
const listMs = 30_000;

/** To remove one image of many layers from a slow disk takes minutes. */
const removeMs = 300_000;

/** A container has some 3 kB in a list, with its labels. A node has some hundreds. */
const maxBytes = 16 * 1024 * 1024;

/** Docker exists since 2013. Reproducible builds claim 1970 or 1980. */
const firstImageAt = Date.UTC(2013, 0, 1);

/** The ECS agent gives it to each container of a task, its own pause containers included. */
const taskLabel = 'com.amazonaws.ecs.task-arn';

/** `root`: the socket lies below it. No connection opens before the first call. */
export function openDocker(root: string): Docker {
  const below = openBelow(root);
  // Below another root, a link must not lead to the Docker of the machine that runs a test.
  const readPath = () => below(socket, { through: true });
  /** By image, for images whose age is not in the list. */
  let ages = new Map<string, number>();
  const service = openLocalService({ readPath }, { serviceName, timeoutMs: listMs, maxBytes });

  async function ask(question: LocalRequest, signal: AbortSignal): Promise<{ status: number; body: Buffer }> {
    try {
      return await service.send(question, signal);
    } catch (error) {
      throw explain(error, readPath);
    }
  }

  async function read(path: string, signal: AbortSignal, timeoutMs?: number): Promise<unknown> {
    const { status, body } = await ask({ path, ...(timeoutMs !== undefined && { timeoutMs }) }, signal);
    if (status !== 200) throw refusal(`GET ${path}`, status, body);
    return parse(body, path);
  }

  /** Read as an empty list, an answer such as `{}` would free the image of a running container. */
  async function readList(path: string, signal: AbortSignal): Promise<unknown[]> {
    const list = await read(path, signal);
    if (!Array.isArray(list)) throw new Unavailable(`${serviceName}: ${path} answered with something that is no list`);
    return list as unknown[];
  }

  return {
    async ping(signal) {
      const { status } = await ask({ path: '/_ping', timeoutMs: shortMs }, signal);
      if (status !== 200) throw new Unavailable(`${serviceName}: _ping answered ${status}`);
    },
    readStore: async (signal) => parseStore(await read('/info', signal, shortMs)),
    async readImages(signal) {
      const images = (await readList('/images/json', signal)).map(parseImage);
      const isExact = ({ createdAt }: DockerImage) =>
        createdAt >= firstImageAt && images.filter((other) => other.createdAt === createdAt).length === 1;
      const known = ages;
      ages = new Map();
      // One after the other: a node may hold hundreds of images of the same age.
      for (const image of images) {
        if (!isExact(image)) ages.set(image.id, known.get(image.id) ?? (await readAge(image, read, signal)));
      }
      return images.map((image) => ({ ...image, createdAt: ages.get(image.id) ?? image.createdAt }));
    },
    readContainers: async (signal) => (await readList('/containers/json?all=1', signal)).map(parseContainer),
    async removeImage(reference, signal) {
      // Slashes and colons are part of a name. Other special characters of a URL cannot occur in
      // it.
      const path = `/images/${encodeURIComponent(reference).replaceAll('%2F', '/').replaceAll('%3A', ':')}`;
      const { status, body } = await ask({ method: 'DELETE', path, timeoutMs: removeMs }, signal);
      if (status === 200) return 'removed';
      if (status === 404) return 'absent';
      if (status === 409) return 'in use';
      throw refusal(`removing the image ${reference}`, status, body);
    },
  };
}

/**
 * The list has whole seconds, in which a script makes several images. The image's own description
 * is more exact. If its build time is not sensible, the time on this node counts.
 */
async function readAge(
  { id, createdAt }: DockerImage,
  read: (path: string, signal: AbortSignal) => Promise<unknown>,
  signal: AbortSignal,
): Promise<number> {
  try {
    const details = fieldsOf(await read(`/images/${id}/json`, signal));
    const ages = [details['Created'], fieldsOf(details['Metadata'])['LastTagTime']].map((age) =>
      Date.parse(textOf(age)),
    );
    return ages.find((age) => age >= firstImageAt) ?? createdAt;
  } catch {
    signal.throwIfAborted();
    // The image may be gone since the list.
    return createdAt;
  }
}

function parseStore(info: unknown): DockerStore {
  const fields = fieldsOf(info);
  const root = textOf(fields['DockerRootDir']);
  if (!root.startsWith('/')) throw new Unavailable(`${serviceName}: info has no DockerRootDir`);
  const address = textOf(fieldsOf(fields['Containerd'])['Address']);
  return {
    root,
    // [["driver-type", "io.containerd.snapshotter.v1"]]
    imagesInContainerd: listOf(fields['DriverStatus']).some(
      (pair) => Array.isArray(pair) && pair[0] === 'driver-type' && String(pair[1]).startsWith('io.containerd.'),
    ),
    ...(address !== '' && { containerdSocket: address }),
  };
}

function parseImage(image: unknown): DockerImage {
  const { Id: id, RepoTags: tags, RepoDigests: digests, Created: seconds } = fieldsOf(image);
  if (typeof id !== 'string') throw new Unavailable(`${serviceName}: images/json has an image without Id`);
  return {
    id,
    names: namesOf(tags),
    digests: namesOf(digests),
    createdAt: typeof seconds === 'number' ? seconds * 1000 : 0,
  };
}

/** Older daemons write `<none>:<none>` for a removed name. */
function namesOf(list: unknown): string[] {
  return listOf(list).flatMap((name) => (typeof name === 'string' && !name.includes('<none>') ? [name] : []));
}

function parseContainer(container: unknown): DockerContainer {
  const { Id: id, Names: names, ImageID: imageId, State: state, Labels: labels } = fieldsOf(container);
  // Without it, the image that must stay is not known.
  if (typeof imageId !== 'string')
    throw new Unavailable(`${serviceName}: containers/json has a container without ImageID`);
  const [name = id] = listOf(names);
  const taskArn = textOf(fieldsOf(labels)[taskLabel]);
  return {
    name: textOf(name).replace(/^\//, ''),
    imageId,
    state: textOf(state),
    ...(taskArn !== '' && { taskArn }),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** 5xx: the daemon is in trouble. Every other status is a permanent refusal. */
function refusal(what: string, status: number, body: Buffer): Unavailable | Refused {
  let message: unknown;
  try {
    ({ message } = fieldsOf(JSON.parse(body.toString()) as unknown));
  } catch {
    // Another program listens there.
  }
  const said = typeof message === 'string' ? JSON.stringify(message.slice(0, 300)) : 'without a message';
  const why = `${serviceName}: ${what} answered ${status}: ${said}`;
  return status >= 500 ? new Unavailable(why) : new Refused(why, { code: String(status) });
}

function explain(error: unknown, readPath: () => string): unknown {
  const code = codeOf(error);
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new Unavailable(`${serviceName} does not listen at ${readPath()}: is it running?`, { cause: error });
  }
  // The kernel's limit for socket paths. Only a deep --root reaches it.
  if (code === 'EINVAL' && readPath().length > 107) {
    return new Refused(`the path ${readPath()} is too long for a socket`, { cause: error });
  }
  return error;
}

function parse(body: Buffer, path: string): unknown {
  try {
    return JSON.parse(body.toString()) as unknown;
  } catch (cause) {
    throw new Unavailable(`${serviceName}: ${path} answered with something that is not JSON: ${messageOf(cause)}`, {
      cause,
    });
  }
}
