/**
 * A simulated node that runs the shipped binary. This file plays systemd, and offers the events
 * that the benchmark waits for.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openMachine, type LogLine, type Machine } from '../simulator/machine.ts';
import { startSimulator, type Simulator, type SimulatorOptions } from '../simulator/simulator.ts';
import { waitFor } from '../simulator/wait-for.ts';
import { makeCertificate, openTlsFront, type Certificate } from './fronts/tls-front.ts';

export interface Account {
  simulator: Simulator;
  certificate: Certificate;
  /**
   * Boots a machine and resolves when ECS reports it ACTIVE. The machine ends with its instance.
   */
  openNode(
    instanceId: string,
    settings?: Record<string, unknown>,
    program?: string,
    onLog?: (line: LogLine) => void,
  ): Promise<Machine>;
  close(): Promise<void>;
}

export const hooks = [
  { name: 'ecs-node-launch', transition: 'launch' as const },
  { name: 'ecs-node-terminate', transition: 'terminate' as const },
];

/** Opens an account whose endpoint uses TLS, as AWS does. */
export async function openAccount(binary: string, options: SimulatorOptions): Promise<Account> {
  const folder = await mkdtemp(join(tmpdir(), 'ecs-node-'));
  const machines = new Map<string, Machine>();
  const simulator = await startSimulator({ ...options, onTerminate: ({ id }) => machines.get(id)?.kill() });
  const certificate = await makeCertificate(folder);
  const front = await openTlsFront(simulator.endpoint, certificate);
  return {
    simulator,
    certificate,
    async openNode(id, settings = {}, program = binary, onLog) {
      const machine = await openMachine({
        binary: program,
        root: join(folder, id.slice(-6)),
        environment: {
          ...simulator.environmentFor(id),
          AWS_ENDPOINT_URL: front.url,
          NODE_EXTRA_CA_CERTS: certificate.file,
        },
        flags: ['--cluster', 'demo', ...flagsFor(simulator, id, settings)],
        startEcsAgent: (cluster, hasCheckpoint) => simulator.verbs.startEcsAgent(id, cluster, hasCheckpoint),
        stopEcsAgent: () => simulator.verbs.stopEcsAgent(id),
        onPowerOff: () => simulator.verbs.powerOff(id),
        ...(onLog !== undefined && { onLog }),
      });
      machines.set(id, machine);
      const code = await machine.boot();
      if (code !== 0) throw new Error(`bootstrap of ${id} ended with exit code ${code}`);
      await waitFor(`${id} is ACTIVE`, () => statusOf(simulator, id) === 'ACTIVE');
      return machine;
    },
    async close() {
      for (const machine of machines.values()) await machine.close();
      front.close();
      await simulator.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * As in the stack of this project. Without a provider, an agent asks ECS for it nine times in its
 * first hours, mostly in the first minutes.
 */
export function giveCapacityProvider({ simulator }: Account, group: string): void {
  simulator.verbs.createCapacityProvider('demo', `provider-of-${group}`, group);
}

function flagsFor(simulator: Simulator, id: string, settings: Record<string, unknown>): string[] {
  const all = { 'ecs.introspectionEndpoint': simulator.introspectionEndpoint(id), ...settings };
  return Object.entries(all).flatMap(([key, value]) => ['--set', `${key}=${JSON.stringify(value)}`]);
}

export function statusOf({ world }: Simulator, instanceId: string): string | undefined {
  return world.clusters.get('demo')?.byInstance.get(instanceId)?.status;
}
