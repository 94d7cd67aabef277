/** The disk of a node over time: it fills, images can be removed, and it is cleared or not. */

import { someImage } from '../../fakes/docker.ts';
import { someDisk } from '../../fakes/machine.ts';
import type { DockerImage } from '../../../core/host.ts';
import { begin, finish } from '../faults/causes.ts';
import type { Node } from './node.ts';
import { count, note, type Region } from './region.ts';

/** The percentage in use, and the part of it that unused images take. */
export interface Disk {
  used: number;
  images: number;
  inodes: boolean;
}

export function openDisk(region: Region, node: Node): void {
  node.disk = {
    used: region.chance.between(20, 60),
    images: region.chance.between(0, 15),
    inodes: region.chance.happens(0.3),
  };
  fillWithImages(node, node.disk.images);
  node.docker.onRemove = ({ names }) => {
    const { disk, docker } = node;
    const left = docker.images.filter(isApp).length;
    const share = names.some((name) => name.startsWith('app:')) ? disk.images / (left + 1) : 0;
    disk.images -= share;
    setUsed(region, node, disk.used - share);
  };
  setUsed(region, node, node.disk.used);
}

/** The number of images that make up the removable part of the disk. */
const apps = 4;

/** Adds the images beside the ECS agent's own image, which stays. */
function fillWithImages({ disk, docker }: Node, percent: number): void {
  disk.images = percent;
  const others = docker.images.filter((image) => !isApp(image));
  const removable = Array.from({ length: apps }, (_, at) => someImage(`app:${at}`, 10 + at));
  docker.images = [...others, ...(percent > 0 ? removable : [])];
}

function isApp({ names }: DockerImage): boolean {
  return names.some((name) => name.startsWith('app:'));
}

/** Keeps the cause in step with the thresholds, by an operator's reading of them. */
export function setUsed(region: Region, node: Node, used: number): void {
  const { fullPercent, clearPercent, checkSeconds, checks } = region.scenario.config.disk;
  const now = region.clock.uptime();
  const { disk, machine } = node;
  disk.used = Math.min(100, Math.max(5, used));
  const [bytes, inodes] = disk.inodes ? [40, disk.used] : [disk.used, 10];
  for (const path of ['/', '/var/lib/docker']) machine.disks.set(path, { ...someDisk('/', bytes, inodes), path });
  // Good checks end the cause, as many as the bad checks that begin it. A hung check costs its
  // deadline of 30 s, and the next comes an interval later.
  const unseenMs = (checks * checkSeconds + (now - node.truth.faultAt < 300_000 ? checkSeconds + 30 : 0)) * 1000;
  // `df` rounds up, and the product compares its output with the thresholds.
  const shown = Math.ceil(disk.used);
  if (shown >= fullPercent || (shown >= clearPercent && isBegun(node, now - unseenMs)))
    begin(node, 'disk', now, unseenMs);
  else if (shown < clearPercent) finish(node, 'disk', now);
}

/**
 * True if the disk was full then or later. A nearly full disk is enough to continue a departure,
 * but not to begin one.
 */
function isBegun({ truth }: Node, then: number): boolean {
  const cause = truth.causes.get('disk');
  return cause?.until !== undefined && cause.until >= then;
}

/** Fills the disk within some minutes; an application clears it later, or not. */
export function fillUp(region: Region, node: Node): void {
  const { chance, clock, stats } = region;
  count(stats.faults, 'disk fills');
  const to = chance.between(82, 100);
  const stepMs = chance.around(20_000);
  note(region, node, `disk fills to ${Math.round(to)} %`);
  if (chance.happens(0.5)) fillWithImages(node, chance.between(0, 40));
  const step = () => {
    if (node.phase === 'gone' || region.calm) return;
    setUsed(region, node, node.disk.used + chance.between(1, 12));
    if (node.disk.used < to) clock.schedule(stepMs, step);
    else if (chance.happens(0.5))
      clock.schedule(chance.around(400_000), () => setUsed(region, node, chance.between(20, 78)));
  };
  step();
}
