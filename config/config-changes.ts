/** Compares two configurations, and decides which changes a running node takes over. Pure. */

import type { Config } from './config.ts';

export interface Change {
  /** Dotted. */
  path: string;
  from: unknown;
  to: unknown;
}

/**
 * How a running node takes over a change of each setting. `identity`: not before the next boot,
 * because ECS, the registrar and people know the node by it. `boot`: bootstrap reads it, or the ECS
 * agent when it starts; a list names the settings below for which that is so. `agent`: at once.
 */
const takenOverBy = {
  cluster: 'identity',
  name: 'identity',
  hostname: 'identity',
  registrar: 'identity',
  opsworks: 'identity',
  bootstrap: 'boot',
  ecs: ['settings'],
  ports: ['enabled'],
  autoScaling: 'agent',
  containerEnvironment: 'agent',
  daemonTasks: 'agent',
  disk: 'agent',
  docker: 'agent',
  ecsAgent: 'agent',
  events: 'agent',
  join: 'agent',
  leave: 'agent',
  maintenance: 'agent',
  metrics: 'agent',
  terminationProtection: 'agent',
  tags: 'agent',
  stormGuard: 'agent',
  spot: 'agent',
  registration: 'boot',
  refresh: 'agent',
  rebalance: 'agent',
} as const satisfies Record<keyof Config, 'identity' | 'boot' | 'agent' | readonly string[]>;

const identity = (Object.keys(takenOverBy) as (keyof Config)[]).filter((key) => takenOverBy[key] === 'identity');

/** Dotted paths of the settings that only the next boot applies. */
export const atBoot: readonly string[] = Object.entries(takenOverBy).flatMap(([key, by]) => {
  if (typeof by !== 'string') return by.map((inner) => `${key}.${inner}`);
  return by === 'agent' ? [] : [key];
});

/** Values that may be passwords: of a registry, or among the arguments of a check. */
const secret = ['ecs.settings', 'join.checks'];

/** Leaves that differ, in the order of their names; lists count as one. */
export function changesBetween(before: Config, after: Config): Change[] {
  const [from, to] = [leavesOf(before), leavesOf(after)];
  return [...new Set([...from.keys(), ...to.keys()])]
    .toSorted()
    .filter((path) => JSON.stringify(from.get(path)) !== JSON.stringify(to.get(path)))
    .map((path) =>
      secret.some((each) => isBelow(path, each))
        ? { path, from: '…', to: '…' }
        : { path, from: from.get(path), to: to.get(path) },
    );
}

/** Paths of changes that only the next boot applies. */
export function pendingOf(booted: Config, wanted: Config): string[] {
  const paths = changesBetween(booted, wanted).map(({ path }) => path);
  return paths.filter((path) => atBoot.some((each) => isBelow(path, each)));
}

/**
 * The configuration that a running node takes over: the wanted one, with the identity that it
 * booted with.
 */
export function takeOver(booted: Config, wanted: Config): Config {
  const kept = Object.fromEntries(identity.map((key) => [key, booted[key]]));
  return { ...wanted, ...kept };
}

/**
 * Not the function of config/settings.ts: that file loads the YAML parser, and the agent must stay
 * small.
 */
function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isBelow(path: string, section: string): boolean {
  return `${path}.`.startsWith(`${section}.`);
}

function leavesOf(config: Config): Map<string, unknown> {
  const leaves = new Map<string, unknown>();
  const visit = (path: readonly string[], value: unknown) => {
    if (!isSection(value)) leaves.set(path.join('.'), value);
    else for (const [key, inner] of Object.entries(value)) visit([...path, key], inner);
  };
  visit([], config);
  return leaves;
}
