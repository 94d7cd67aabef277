/** The access keys of each instance's role and of the operator. */

import type { Instance, World } from '../world/state.ts';

export interface Key {
  accessKeyId: string;
  secretAccessKey: string;
  /** Undefined for the operator's static keys. */
  token: string | undefined;
  instanceId: string | undefined;
  issuedAt: number;
  expiresAt: number;
}

export interface Keyring {
  find(accessKeyId: string): Key | undefined;
  /**
   * Returns the keys of the instance's role, renewed before they expire; undefined without a role.
   */
  keysFor(instance: Instance): Key | undefined;
}

/** AWS issues new keys at least five minutes before the old keys expire. */
const renewMs = 300_000;

export function openKeyring(world: World, operator: { accessKeyId: string; secretAccessKey: string }): Keyring {
  const keys = new Map<string, Key>();
  const current = new Map<string, Key>();
  keys.set(operator.accessKeyId, {
    ...operator,
    token: undefined,
    instanceId: undefined,
    issuedAt: 0,
    expiresAt: Infinity,
  });
  const issue = (instance: Instance): Key => {
    const now = world.clock.now();
    const key: Key = {
      accessKeyId: `ASIA${world.random.hex(16).toUpperCase()}`,
      secretAccessKey: world.random.hex(40),
      token: `IQoJ${Buffer.from(world.random.hex(96)).toString('base64')}`,
      instanceId: instance.id,
      issuedAt: now,
      expiresAt: now + world.settings.credentials.lifetimeMs,
    };
    keys.set(key.accessKeyId, key);
    current.set(instance.id, key);
    return key;
  };
  world.listeners.add((event) => {
    if (event.kind === 'instance' && event.state === 'terminated') current.delete(event.instance.id);
  });
  return {
    find: (accessKeyId) => keys.get(accessKeyId),
    keysFor(instance) {
      if (instance.role === undefined) return undefined;
      const key = current.get(instance.id);
      const margin = Math.min(renewMs, world.settings.credentials.lifetimeMs / 2);
      return key && key.expiresAt - world.clock.now() > margin ? key : issue(instance);
    },
  };
}
