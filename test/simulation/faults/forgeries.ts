/** The untrue answers: what a source says instead of the truth. */

import { Unavailable } from '../../../core/errors.ts';
import type { ContainerInstance, DiskMeasurement, Membership } from '../../../core/host.ts';
import type { Service } from './fault-injector.ts';

/** The parts of a lie. */
export interface Made {
  verb: string;
  service: Service;
  truth: unknown;
  /** Between 0 and 1: chooses among the possible lies. */
  draw: number;
  /** The wall clock at the beginning of the lie, so that it stays the same lie. */
  at: number;
}

/** Without these facts host/ calls the whole answer unusable. */
const neverAbsent = new Set(['readIdentity', 'readClusterHealth', 'readProvisioning', 'measureDisks', 'readStore']);

/** Nothing, where there is something. */
export function nothing({ verb, truth }: Made): unknown {
  // This node runs, and the record was asked for by its id: host/ takes an answer without for none.
  if (verb === 'readRunning' || verb === 'readRegistration') throw new Unavailable(`${verb}: the answer is empty`);
  if (Array.isArray(truth)) return [];
  if (typeof truth === 'boolean') return false;
  if (typeof truth === 'number' || neverAbsent.has(verb)) throw new Unavailable(`${verb}: the answer is empty`);
  return verb === 'readOwnTags' ? {} : undefined;
}

/** The first half of a list. host/ takes an object that lacks a field for no answer. */
export function half({ verb, truth }: Made): unknown {
  if (Array.isArray(truth)) return truth.slice(0, Math.floor(truth.length / 2));
  if (verb === 'readOwnTags' || verb === 'readTags')
    return Object.fromEntries(Object.entries(truth ?? {}).filter((_, at) => at % 2 === 1));
  if (truth === undefined || typeof truth === 'boolean') return truth;
  throw new Unavailable(`${verb}: the answer ends in the middle`);
}

type Forge = (truth: never, at: number) => readonly unknown[];

const states = ['Terminating:Wait', 'Terminated', 'Standby', 'Detached', 'Warmed:Stopped', 'Pending:Wait', 'InService'];

/** The lies that would do most harm, by verb. Every other verb gets the opposite, or a new word. */
const forgeries: Readonly<Record<string, Forge>> = {
  readTargetState: () => [
    'Terminated',
    'Terminated',
    'Warmed:Stopped',
    'Standby',
    'InService',
    'SomethingNew',
    undefined,
  ],
  readSpotNotice: (_, at) => ['terminate', 'stop', 'hibernate'].map((action) => ({ action, at: at + 120_000 })),
  readRebalanceNotice: (_, at) => [new Date(at).toISOString()],
  readMaintenance: (_, at) =>
    ['instance-retirement', 'instance-stop', 'instance-reboot'].map((code) => [
      { id: 'instance-event-forged', code, state: 'active', notBefore: at, description: 'forged' },
    ]),
  readTime: (truth: number | undefined, at) => [15, -15, 1 / 24].map((days) => (truth ?? at) + days * 86_400_000),
  readTag: () => ['another-group', ''],
  readTags: () => [{ 'ecs-node:keep': '' }, { 'aws:autoscaling:groupName': 'another-group' }],
  readOwnTags: (truth: object) => [
    { ...truth, 'ecs-node:keep': '' },
    { 'aws:autoscaling:groupName': 'another-group' },
    {},
  ],
  readAgent: () => [undefined, { cluster: 'another-cluster', version: '0' }, { cluster: 'demo', version: '0' }],
  readMembership: (truth: Membership | undefined) => [
    undefined,
    ...states.map((lifecycleState) => truth && { ...truth, lifecycleState }),
    truth && { ...truth, group: 'another-group' },
  ],
  readSpotStatus: () => ['marked-for-termination', 'instance-terminated-no-capacity', 'fulfilled', undefined],
  readScheduledEvents: () => [[{ id: 'instance-event-forged', code: 'instance-retirement' }], []],
  readTerminationProtection: (truth: boolean) => [!truth],
  readContainerInstance: (truth: ContainerInstance | undefined) => [
    undefined,
    truth && { ...truth, agentConnected: !truth.agentConnected },
    truth && { ...truth, runtimeHealth: truth.runtimeHealth === 'OK' ? 'IMPAIRED' : 'OK' },
    truth && { ...truth, status: 'DRAINING' },
    truth && { ...truth, status: 'SOMETHING_NEW' },
    truth && { ...truth, queuedFor: ['disk', 'ecs-agent', 'docker'] },
    truth && { ...truth, queuedFor: [], runningTasks: 0, pendingTasks: 0 },
  ],
  readPing: () => [undefined, 'ConnectionLost', 'SomethingNew', 'Online'],
  // A file system that hangs in the kernel.
  measureDisks: ({ uses }: DiskMeasurement) =>
    [1, uses.length].map((hung) => ({
      uses: uses.slice(hung),
      unmeasured: uses.slice(0, hung).map(({ path }) => ({ path, reason: 'no answer within 20 s' })),
    })),
};

export function forge({ verb, truth, draw, at }: Made): unknown {
  const choices = forgeries[verb]?.(truth as never, at) ?? [opposite(truth)];
  return choices[Math.floor(draw * choices.length)];
}

/** A word that AWS may use one day, in the place of each state. */
const isState = /^[A-Z][A-Za-z_:]+$|^(online|registered|running_setup|stopped)$/;

function opposite(truth: unknown): unknown {
  if (typeof truth === 'boolean') return !truth;
  if (typeof truth === 'string') return isState.test(truth) ? 'SomethingNew' : truth;
  if (Array.isArray(truth)) return truth.map(opposite);
  if (typeof truth !== 'object' || truth === null) return truth;
  return Object.fromEntries(
    Object.entries(truth).map(([key, value]) => [key, typeof value === 'string' ? opposite(value) : value]),
  );
}
