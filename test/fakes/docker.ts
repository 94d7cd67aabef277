/** A Docker Engine in memory. It refuses to remove the same images as the real one. */

import { Unavailable } from '../../core/errors.ts';
import type { Docker, DockerContainer, DockerImage, DockerStore } from '../../core/host.ts';

export interface FakeDocker {
  /** `dead`: no process listens. `hung`: it accepts calls and never answers. */
  state: 'well' | 'dead' | 'hung';
  store: DockerStore;
  images: DockerImage[];
  containers: DockerContainer[];
  /** Called when an image is removed; a test sets it to free disk space. */
  onRemove: ((image: DockerImage) => void) | undefined;
}

/**
 * Docker after the start of the ECS agent: it holds the agent's pause image, which no registry has.
 */
export function someDocker(): FakeDocker {
  return {
    state: 'well',
    store: { root: '/var/lib/docker', imagesInContainerd: false },
    images: [{ ...someImage('amazon/amazon-ecs-pause:0.1.0', 0), digests: [] }],
    containers: [],
    onRemove: undefined,
  };
}

/** An image pulled from a registry, built on the n-th day of 2024. */
export function someImage(name: string, day: number): DockerImage {
  const hex = Buffer.from(name).toString('hex').padEnd(64, '0').slice(-64);
  const repository = name.replace(/:[^/:]*$/, '');
  return {
    id: `sha256:${hex}`,
    names: [name],
    digests: [`${repository}@sha256:${hex}`],
    createdAt: Date.UTC(2024, 0, day),
  };
}

export function openDocker(fake: FakeDocker): Docker {
  const answer = async <T>(signal: AbortSignal, effect: () => T): Promise<T> => {
    signal.throwIfAborted();
    if (fake.state === 'dead') throw new Unavailable('Docker does not listen at /var/run/docker.sock: is it running?');
    if (fake.state === 'hung') return aborted(signal);
    return effect();
  };
  return {
    ping: (signal) => answer(signal, () => {}),
    readStore: (signal) => answer(signal, () => ({ ...fake.store })),
    readImages: (signal) => answer(signal, () => fake.images.map((image) => ({ ...image }))),
    readContainers: (signal) => answer(signal, () => fake.containers.map((container) => ({ ...container }))),
    removeImage: (reference, signal) => answer(signal, () => remove(fake, reference)),
  };
}

function remove(fake: FakeDocker, reference: string): 'removed' | 'in use' | 'absent' {
  const image = fake.images.find(({ id, names }) => id === reference || names.includes(reference));
  if (image === undefined) return 'absent';
  const others = image.names.filter((name) => name !== reference);
  if (image.id === reference ? image.names.length > 1 : others.length > 0) {
    if (image.id === reference) return 'in use';
    fake.images = fake.images.map((each) => (each === image ? { ...image, names: others } : each));
    return 'removed';
  }
  if (fake.containers.some(({ imageId }) => imageId === image.id)) return 'in use';
  fake.images = fake.images.filter((each) => each !== image);
  fake.onRemove?.(image);
  return 'removed';
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
