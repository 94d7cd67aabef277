/** EC2 for one instance. */

import { Refused } from '../../../core/errors.ts';
import type { InstanceCloud, ScheduledEvent } from '../../../core/host.ts';
import type { FakeMetadata } from '../metadata.ts';

export interface FakeInstance {
  state: 'running' | 'shutting-down';
  tags: Record<string, string>;
  terminationProtection: boolean;
  /**
   * How many attempts to clear the protection have no effect yet, as when AWS reads the attribute
   * from another replica.
   */
  clearsIgnored: number;
  /** Other instances that EC2 does not run (any more). */
  dead: Set<string>;
  /**
   * EC2's own view of the interruption. Undefined: the same as in the metadata service, so both
   * sources agree.
   */
  spotStatus: string | undefined;
  events: ScheduledEvent[] | undefined;
  /** EC2's clock. Undefined: its events have no time. */
  now: (() => number) | undefined;
}

export function emptyInstance(): FakeInstance {
  return {
    state: 'running',
    tags: {},
    terminationProtection: false,
    clearsIgnored: 0,
    dead: new Set(),
    spotStatus: undefined,
    events: undefined,
    now: undefined,
  };
}

/** The announcements of the metadata service for the same instance. */
type Notices = Pick<FakeMetadata, 'spotNotice' | 'maintenance'>;

export function openInstanceCloud(instance: FakeInstance, notices: () => Notices): InstanceCloud {
  return {
    async tagSelf(tags) {
      for (const [key, value] of Object.entries(tags)) {
        if (key.length < 1 || key.length > 128 || key.startsWith('aws:') || value.length > 255) {
          throw new Refused(`tag ${key}: not a valid tag`, { code: 'InvalidParameterValue' });
        }
      }
      if (new Set([...Object.keys(instance.tags), ...Object.keys(tags)]).size > 50) {
        throw new Refused('an instance may have 50 tags', { code: 'TagLimitExceeded' });
      }
      Object.assign(instance.tags, tags);
    },
    readOwnTags: async () => instance.tags,
    async readSpotStatus() {
      const { spotNotice } = notices();
      if (instance.spotStatus !== undefined || spotNotice === undefined) return instance.spotStatus ?? 'fulfilled';
      return spotNotice.action === 'terminate' ? 'marked-for-termination' : 'marked-for-stop';
    },
    async readScheduledEvents() {
      const listed = notices().maintenance.filter(({ state }) => state === 'active');
      return (
        instance.events ??
        listed.map(({ id, code, notBefore }) => ({
          id,
          code,
          ...(instance.now !== undefined && notBefore !== undefined && { startsInMs: notBefore - instance.now() }),
        }))
      );
    },
    readRunning: async (ids) => ids.filter((id) => !instance.dead.has(id)),
    readTerminationProtection: async () => instance.terminationProtection,
    async clearTerminationProtection() {
      if (instance.clearsIgnored > 0) instance.clearsIgnored -= 1;
      else instance.terminationProtection = false;
    },
    async terminateSelf() {
      if (instance.terminationProtection) {
        throw new Refused("The instance may not be terminated. Modify its 'disableApiTermination' attribute", {
          code: 'OperationNotPermitted',
        });
      }
      instance.state = 'shutting-down';
    },
  };
}
