/** Tells EventBridge once that a disk is full, and once that it is free again. */

import type { NodeEvent } from '../../core/events/event-schema.ts';
import type { DiskUse, Host } from '../../core/host.ts';
import { usedInodesPercent, usedPercent, wholePercent } from '../fullness.ts';

export interface DiskEvents {
  /** Remembers the last measurement, which the next event describes. */
  measured(uses: readonly DiskUse[]): void;
  full(host: Host): void;
  /** `hadStopped`: this node, maybe an earlier process, had stopped placement for a full disk. */
  freed(host: Host, hadStopped: boolean): void;
}

/** Lives as long as one agent. The next one may tell of the same full disk again. */
export function openDiskEvents(): DiskEvents {
  let isFullTold = false;
  let disks: Extract<NodeEvent, { type: 'disk-full' }>['disks'] = [];
  return {
    measured(uses) {
      disks = uses.map((use) => ({
        mountPath: use.mountPath,
        usedPercent: wholePercent(usedPercent(use)),
        usedInodesPercent: wholePercent(usedInodesPercent(use)),
      }));
    },
    full({ events }) {
      if (!isFullTold) events.tell({ type: 'disk-full', disks });
      isFullTold = true;
    },
    freed({ events }, hadStopped) {
      if (isFullTold || hadStopped) events.tell({ type: 'disk-freed', disks });
      isFullTold = false;
    },
  };
}
