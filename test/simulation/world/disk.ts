/** The disk of a node over time: it fills, images can be removed, it is freed, or not. */

import { someImage } from '../../fakes/docker.ts';
import { someDisk } from '../../fakes/machine.ts';
import type { DockerImage } from '../../../core/host.ts';
import { begin, finish } from '../faults/causes.ts';
import type { Node } from './node.ts';
import { count, note, type Region } from './region.ts';

/** Percent used, and how much of that are images that no container uses. */
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

/** In how many images the removable part of the disk lies. */
const apps = 4;

/** Beside the ECS agent's own, which stays. */
function fillWithImages({ disk, docker }: Node, percent: number): void {
  disk.images = percent;
  const others = docker.images.filter((image) => !isApp(image));
  const removable = Array.from({ length: apps }, (_, at) => someImage(`app:${at}`, 10 + at));
  docker.images = [...others, ...(percent > 0 ? removable : [])];
}

function isApp({ names }: DockerImage): boolean {
  return names.some((name) => name.startsWith('app:'));
}

/** Keeps the cause in step with the thresholds, as an operator would read them. */
export function setUsed(region: Region, node: Node, used: number): void {
  const { fullPercent, clearPercent, checkSeconds, checks } = region.scenario.config.disk;
  const now = region.clock.uptime();
  const { disk, machine } = node;
  disk.used = Math.min(100, Math.max(5, used));
  const [bytes, inodes] = disk.inodes ? [40, disk.used] : [disk.used, 10];
  for (const path of ['/', '/var/lib/docker']) machine.disks.set(path, { ...someDisk('/', bytes, inodes), path });
  // As many good checks as bad ones end it; one that hangs costs its deadline of 30 s, and the next
  // comes an interval later.
  const unseenMs = (checks * checkSeconds + (now - node.truth.faultAt < 300_000 ? checkSeconds + 30 : 0)) * 1000;
  // `df` rounds up, and thresholds are compared with what it says.
  const shown = Math.ceil(disk.used);
  if (shown >= fullPercent || (shown >= clearPercent && isBegun(node, now - unseenMs)))
    begin(node, 'disk', now, unseenMs);
  else if (shown < clearPercent) finish(node, 'disk', now);
}

/**
 * It was full then or later: nearly full is enough to go on with what was begun, though not to
 * begin.
 */
function isBegun({ truth }: Node, then: number): boolean {
  const cause = truth.causes.get('disk');
  return cause?.until !== undefined && cause.until >= then;
}

/** Fills within some minutes, and is freed some time later by those who filled it, or not. */
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
