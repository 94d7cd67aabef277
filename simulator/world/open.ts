/** An empty account. */

import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { Settings } from '../settings.ts';
import type { World } from './state.ts';

export function openWorld(region: string, clock: Clock, random: Random, settings: Settings): World {
  return {
    region,
    accountId: '123456789012',
    zones: ['a', 'b', 'c'].map((letter) => region + letter),
    clock,
    random,
    settings,
    instances: new Map(),
    groups: new Map(),
    clusters: new Map(),
    capacityProviders: new Map(),
    taskDefinitions: new Map(),
    stacks: new Map(),
    layers: new Map(),
    registrations: new Map(),
    parameters: new Map(),
    buckets: new Map(),
    managed: new Map(),
    targetGroups: new Map(),
    loadBalancers: new Map(),
    scalableTargets: new Map(),
    metrics: [],
    commands: new Map(),
    runCommand: undefined,
    experiments: new Map(),
    experimentTemplates: new Map(),
    refreshes: new Map(),
    events: [],
    listeners: new Set(),
  };
}
