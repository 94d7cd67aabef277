/** An instance metadata service in memory; a test sets its answers. */

import type { MaintenanceEvent, Metadata, SpotNotice } from '../../core/host.ts';
import type { Identity } from '../../core/identity.ts';

export interface FakeMetadata {
  identity: Identity;
  /** Undefined if InstanceMetadataTags is not enabled. */
  tags: Record<string, string> | undefined;
  userData: Uint8Array | undefined;
  spotNotice: SpotNotice | undefined;
  rebalanceNotice: string | undefined;
  maintenance: MaintenanceEvent[];
  targetState: string | undefined;
  /** The service's own wall clock. */
  now: (() => number) | undefined;
}

export const someIdentity: Identity = {
  instanceId: 'i-0123456789abcdef0',
  accountId: '123456789012',
  region: 'us-east-1',
  partition: 'aws',
  zone: 'us-east-1a',
  instanceType: 'm6i.large',
  imageId: 'ami-0123456789abcdef0',
  architecture: 'x86_64',
  privateIp: '10.0.0.7',
  hostname: 'ip-10-0-0-7',
  role: 'ecs-node',
  // The purchase option is absent, as with an older metadata service. The node must then rule out
  // neither spot nor on demand.
};

export function emptyMetadata(identity: Identity): FakeMetadata {
  return {
    identity,
    tags: undefined,
    userData: undefined,
    spotNotice: undefined,
    rebalanceNotice: undefined,
    maintenance: [],
    targetState: undefined,
    now: undefined,
  };
}

export function openMetadata(state: FakeMetadata): Metadata {
  return {
    readIdentity: async () => ({ ...state.identity }),
    readTags: async (_signal, prefix = '') =>
      state.tags && Object.fromEntries(Object.entries(state.tags).filter(([key]) => key.startsWith(prefix))),
    readTag: async (key) => state.tags?.[key],
    readUserData: async () => state.userData,
    readSpotNotice: async () => state.spotNotice,
    readRebalanceNotice: async () => state.rebalanceNotice,
    readMaintenance: async () => state.maintenance.map((event) => ({ ...event })),
    readTargetState: async () => state.targetState,
    readTime: async () => state.now?.(),
  };
}
