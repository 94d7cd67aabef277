/** Decides which of Docker's images may be removed to free a disk, and in which order. Pure. */

import type { DockerContainer, DockerImage } from '../core/host.ts';
import { imageName } from '../config/image-name.ts';

/**
 * The ECS agent loads these images from files when it starts; no registry has them. Without them,
 * tasks in awsvpc mode, with Service Connect or with an EBS volume fail until the agent restarts
 * (amazon-ecs-agent: agent/config/config.go, agent/engine/serviceconnect/manager_linux.go,
 * ecs-agent/manageddaemon). Compared with the last part of a repository.
 */
const agentRepositories: readonly string[] = [
  'amazon-ecs-agent',
  'amazon-ecs-pause',
  'ecs-service-connect-agent',
  'ebs-csi-driver',
  'aws-ebs-csi-driver',
];

/** Names of the images to keep. */
export interface Kept {
  /**
   * Written by people: NAME, NAME:TAG, NAME@DIGEST, NAME:TAG@DIGEST or an id; `*` matches any
   * characters.
   */
  patterns: readonly string[];
  /** Further images that the ECS agent loads itself, by the last part of their repository. */
  agentRepositories: readonly string[];
}

/**
 * Sorted by age, oldest first. Images without a known registry come last, because they may be
 * impossible to get back. Kept images, and images that a running or stopped container uses, are
 * left out.
 */
export function removableImages(
  images: readonly DockerImage[],
  containers: readonly DockerContainer[],
  kept: Kept,
): DockerImage[] {
  const used = new Set(containers.map(({ imageId }) => imageId));
  const isKept = openKept(kept);
  return images
    .filter((image) => !used.has(image.id) && !isKept(image))
    .toSorted(
      (a, b) => Number(isLocal(a)) - Number(isLocal(b)) || a.createdAt - b.createdAt || a.id.localeCompare(b.id),
    );
}

/**
 * Loaded or built on this node. An image without names does not count: no task needs it. Never true
 * where containerd keeps the images: Docker then lists a digest for each (image_list.go of 28.5).
 */
function isLocal({ names, digests }: DockerImage): boolean {
  return names.length > 0 && digests.length === 0;
}

/** Stopped containers whose image no running container needs: they alone hold it on the disk. */
export function stoppedHolders(containers: readonly DockerContainer[]): DockerContainer[] {
  const isStopped = ({ state }: DockerContainer) => state === 'exited' || state === 'dead';
  const needed = new Set(containers.filter((container) => !isStopped(container)).map(({ imageId }) => imageId));
  return containers.filter((container) => isStopped(container) && !needed.has(container.imageId));
}

/** An image with several names is removed by name: Docker refuses to remove it by id. */
export function referencesOf({ id, names }: DockerImage): readonly string[] {
  return names.length > 1 ? names : [id];
}

function openKept(kept: Kept): (image: DockerImage) => boolean {
  const matchers = kept.patterns.map((pattern) => openPattern(tidy(pattern)));
  const agents = new Set([...agentRepositories, ...kept.agentRepositories]);
  return ({ id, names, digests }) => {
    const own = [...names, ...digests].map(shorten);
    if (own.some((name) => agents.has(lastPart(splitName(name).repository)))) return true;
    return matchers.some((matches) => matches(id) || own.some(matches));
  };
}

/**
 * A pattern without tag and digest means all of that repository. Docker lists an image's tag and
 * its digest as two names, so a pattern with both matches either.
 */
function openPattern(pattern: string): (name: string) => boolean {
  const wanted = shorten(pattern);
  const { repository, tag = '' } = splitName(wanted);
  const [, tagOnly, digest] = /^(:[^@]*)(@.*)$/.exec(tag) ?? [];
  const forms = tagOnly === undefined ? [wanted] : [`${repository}${tagOnly}`, `${repository}${digest}`];
  const isId = /^sha256:[0-9a-f*]+$/.test(wanted);
  const expressions = forms.map((form) => `^${escape(form)}${isId ? '' : tag === '' ? '([:@].*)?$' : '$'}`);
  // `docker images -q` prints the first 12 digits of an id.
  if (/^[0-9a-f]{6,64}$/.test(wanted)) expressions.push(`^sha256:${wanted}`);
  // A digest alone, as a registry prints it.
  if (isId) expressions.push(`@${escape(wanted)}`);
  const expression = new RegExp(expressions.join('|'));
  return (name) => expression.test(name);
}

/** True for a line that no image can match: a person meant something else. */
export function isOddName(pattern: string): boolean {
  return !imageName.test(tidy(pattern));
}

/** Spellings with one possible meaning: `"app:1"`, `- app:1`, `https://registry/app:1`. */
function tidy(pattern: string): string {
  return pattern
    .trim()
    .replace(/^-\s+/, '')
    .replace(/^(["'`])(.*)\1,?$/, '$2')
    .replace(/^(https?|docker):\/\//, '');
}

function escape(pattern: string): string {
  return pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^\\n]*');
}

/** Docker Hub's own names have a short form, which Docker lists. */
function shorten(name: string): string {
  return name.replace(/^((index|registry-1)\.)?docker\.io\//, '').replace(/^library\//, '');
}

/** A colon before the last slash belongs to a registry's port. */
function splitName(name: string): { repository: string; tag: string | undefined } {
  const [, repository = name, tag] = /^(.*?)((?::[^/:@]*)?(?:@.*)?)$/.exec(name) ?? [];
  return { repository, tag: tag === '' ? undefined : tag };
}

function lastPart(repository: string): string {
  return repository.slice(repository.lastIndexOf('/') + 1);
}
