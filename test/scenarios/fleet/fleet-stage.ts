/**
 * A fleet in the simulator, two days old, and the shipped binary, run by a person or a schedule.
 */

import { execFile } from 'node:child_process';
import { inject, onTestFinished } from 'vitest';
import type { NoteKind } from '../../../core/fleet/fleet-nodes.ts';
import { renderNote } from '../../../core/fleet/fleet-notes.ts';
import { openRealClock } from '../../../simulator/clock.ts';
import {
  layerId,
  stackId,
  startSimulator,
  type Simulator,
  type SimulatorOptions,
} from '../../../simulator/simulator.ts';
import type { ContainerInstance, Registration } from '../../../simulator/world/state.ts';
import { waitFor } from '../../../simulator/wait-for.ts';

export const cluster = 'demo';
export const group = 'nodes';
export { stackId };

export const hour = 3_600_000;

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

export interface FleetStage {
  simulator: Simulator;
  /** In the order of their launch; two days old, ACTIVE and connected. */
  nodes: string[];
  instance(id: string): ContainerInstance;
  /** The note of a sweep from that long ago. */
  note(id: string, kind: NoteKind, ago: number): void;
  noteOf(id: string): string | undefined;
  /** A second record of the instance, or one of an external instance; not connected. */
  addRecord(instanceId: string): ContainerInstance;
  /** Known to OpsWorks for two days. */
  register(id: string, status?: string): Registration;
  run(environment: Record<string, string>, ...words: string[]): Promise<Ended>;
  /** With the keys of an operator. */
  ask(...words: string[]): Promise<Ended>;
  /** The calls that may change something. */
  mutations(): string[];
  /** How often each operation was called. */
  counts(): Record<string, number>;
  lifecycle(id: string): string | undefined;
}

const ageMs = 48 * hour;

/** The same call that the node itself makes. */
const hook = { name: 'leave', transition: 'terminate', completesAfterMs: 50 } as const;

export async function openFleet(count: number, more: SimulatorOptions = {}): Promise<FleetStage> {
  const { stage, close } = await openFleetForSuite(count, more);
  onTestFinished(close);
  return stage;
}

/** For several tests, so the caller has to close it. */
export async function openFleetForSuite(
  count: number,
  more: SimulatorOptions = {},
): Promise<{ stage: FleetStage; close(): Promise<void> }> {
  const real = openRealClock();
  // The nodes are launched two days ago; then it is today.
  let shift = -ageMs;
  const clock = { ...real, now: () => Date.now() + shift };
  const simulator = await startSimulator({
    ...more,
    clock,
    groups: [{ name: group, max: 2 * count + 10, hooks: [hook] }],
  });
  const close = async () => {
    real.stop();
    await simulator.close();
  };
  const { world, verbs } = simulator;
  const { byInstance } = world.clusters.get(cluster)!;
  const members = world.groups.get(group)!.members;
  const nodes = (await verbs.scaleTo(group, count)).map(({ id }) => id);
  for (const id of nodes) {
    world.instances.get(id)!.tags.set('Name', `${cluster} ECS - ${id.slice(-8)}`);
    verbs.startEcsAgent(id, cluster);
  }
  await waitFor('registered', () => nodes.every((id) => byInstance.get(id)?.agentConnected), 60_000);
  await waitFor('in service', () => nodes.every((id) => members.get(id)?.state === 'InService'), 60_000);
  shift = 0;
  const run: FleetStage['run'] = (environment, ...words) =>
    new Promise((resolve) => {
      const env = { PATH: process.env['PATH'], ...environment };
      const limits = { env, maxBuffer: 64 * 2 ** 20 };
      execFile(inject('binary'), words, limits, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
      );
    });
  const stage: FleetStage = {
    simulator,
    nodes,
    instance: (id) => byInstance.get(id)!,
    note(id, kind, ago) {
      const { key, value } = renderNote({ instanceId: id, group, kind, since: Date.now() - ago, seen: Date.now() });
      world.groups.get(group)!.ownTags.set(key, value);
    },
    noteOf: (id) => world.groups.get(group)!.ownTags.get(`ecs-node:sweep:${id}`),
    addRecord: (id) => addRecord(simulator, id),
    register: (id, status = 'online') => register(simulator, id, status),
    run,
    ask: (...words) => run(simulator.operatorEnvironment(), ...words),
    mutations: () => simulator.calls.names().filter((call) => !/:(Describe|List|Get)/.test(call)),
    counts() {
      const names = simulator.calls.names();
      return Object.fromEntries(
        [...new Set(names)].map((name) => [name, names.filter((each) => each === name).length]),
      );
    },
    lifecycle: (id) => members.get(id)?.state,
  };
  return { stage, close };
}

function addRecord({ world }: Simulator, instanceId: string): ContainerInstance {
  const { containerInstances, byInstance } = world.clusters.get(cluster)!;
  const like = [...byInstance.values()][0]!;
  const id = world.random.uuid().replaceAll('-', '');
  const record: ContainerInstance = {
    ...like,
    arn: like.arn.replace(/[^/]+$/, id),
    instanceId,
    registeredAt: like.registeredAt - hour,
    agentConnected: false,
    tasks: new Map(),
    stopped: new Map(),
    attributes: new Map(like.attributes),
  };
  containerInstances.set(id, record);
  return record;
}

function register({ world }: Simulator, instanceId: string, status: string): Registration {
  const id = world.random.uuid();
  const registration: Registration = {
    id,
    stackId,
    arn: `arn:aws:opsworks:${world.region}:${world.accountId}:instance/${id}`,
    instanceId,
    hostname: `ecs-${instanceId.slice(-4)}`,
    privateIp: '10.0.0.10',
    publicIp: '',
    createdAt: Date.now() - ageMs,
    status,
    layerIds: [layerId],
    listedFrom: 0,
  };
  world.registrations.set(id, registration);
  return registration;
}

/** The result of a sweep for each instance: the kind, and the outcome. */
export function findingsOf({ stdout }: Ended): Record<string, string> {
  const { findings } = JSON.parse(stdout) as { findings: { kind: string; instanceId: string; outcome: string }[] };
  return Object.fromEntries(findings.map(({ kind, instanceId, outcome }) => [instanceId, `${kind}: ${outcome}`]));
}
