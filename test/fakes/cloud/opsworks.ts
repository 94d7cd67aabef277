/**
 * OpsWorks Stacks: stacks, layers, records whose states take time, and the installer that registers
 * a node.
 */

import { Refused } from '../../../core/errors.ts';
import type { Layer, OpsWorksCloud, Provisioning, Stack } from '../../../core/host.ts';
import type { FakeClock } from '../clock.ts';
import type { FakeMachine, Program } from '../machine.ts';
import type { FakeInstance } from './instance.ts';

export interface FakeRecord {
  id: string;
  stackId: string;
  ec2InstanceId: string;
  hostname: string;
  status: string;
  layerIds: string[];
}

export interface FakeOpsWorks {
  stacks: Stack[];
  layers: Layer[];
  provisioning: Provisioning;
  records: FakeRecord[];
  /** The suggestions to give out first; then `web-1`, `web-2` … as far as they are free. */
  suggestions: string[];
  installerTakesMs: number;
  registersAfterMs: number;
  /** The final state of a registration: `registered`, or a state in which it hangs. */
  registersAs: string;
  setupTakesMs: number;
  setupEndsAs: 'online' | 'setup_failed';
  unassignTakesMs: number;
  deregisterTakesMs: number;
  /** When OpsWorks turns on termination protection, counted from the registration. */
  protectsAfterMs: number;
  /** How long lists still omit a new record. */
  listingLagMs: number;
}

export const installerUrl = 'https://opsworks.example/opsworks-agent-installer.tgz';

export function someOpsWorks(): FakeOpsWorks {
  return {
    stacks: [{ id: '11111111-1111-4111-8111-111111111111', name: 'demo', region: 'us-east-1' }],
    layers: [
      {
        id: '22222222-2222-4222-8222-222222222222',
        stackId: '11111111-1111-4111-8111-111111111111',
        shortName: 'ecs',
      },
    ],
    provisioning: {
      installerUrl,
      parameters: { assets_download_bucket: 'opsworks-assets', agent_version: '4041' },
    },
    records: [],
    suggestions: [],
    installerTakesMs: 20_000,
    registersAfterMs: 60_000,
    registersAs: 'registered',
    setupTakesMs: 90_000,
    setupEndsAs: 'online',
    unassignTakesMs: 20_000,
    deregisterTakesMs: 10_000,
    protectsAfterMs: 5_000,
    listingLagMs: 0,
  };
}

export function openOpsWorksCloud(state: FakeOpsWorks, ec2InstanceId: string, clock: FakeClock): OpsWorksCloud {
  const record = (id: string): FakeRecord => {
    const found = state.records.find((candidate) => candidate.id === id);
    if (found === undefined) {
      throw new Refused(`Unable to find instance with ID ${id}`, { code: 'ResourceNotFoundException' });
    }
    return found;
  };
  const refuse = (message: string): never => {
    throw new Refused(message, { code: 'ValidationException' });
  };
  const stackMustBe = (id: string) => {
    if (!state.stacks.some((stack) => stack.id === id)) {
      throw new Refused(`Unable to find stack with ID ${id}`, { code: 'ResourceNotFoundException' });
    }
  };
  const registration = ({ id, hostname, status, layerIds }: FakeRecord) => ({ id, hostname, status, layerIds });

  return {
    async readStack(idOrName) {
      const byId = state.stacks.find(({ id }) => id === idOrName);
      const byName = state.stacks.filter(({ name }) => name === idOrName);
      if (byId === undefined && byName.length > 1) {
        throw new Refused(`${byName.length} stacks are called ${idOrName}`, { code: 'NotUnique' });
      }
      return byId ?? byName[0];
    },
    readLayer: async (stackId, idOrShortName) =>
      state.layers.find(({ id }) => id === idOrShortName) ??
      state.layers.find((layer) => layer.stackId === stackId && layer.shortName === idOrShortName),
    async readProvisioning(stackId) {
      stackMustBe(stackId);
      return state.provisioning;
    },
    async suggestHostname(layerId) {
      const layer = state.layers.find(({ id }) => id === layerId);
      if (layer === undefined) {
        throw new Refused(`Unable to find layer with ID ${layerId}`, { code: 'ResourceNotFoundException' });
      }
      const taken = new Set(state.records.map(({ hostname }) => hostname));
      let n = 1;
      while (taken.has(`${layer.shortName}-${n}`)) n++;
      return state.suggestions.shift() ?? `${layer.shortName}-${n}`;
    },
    async findRegistration(stackId) {
      stackMustBe(stackId);
      const found = state.records.find((r) => r.ec2InstanceId === ec2InstanceId && r.stackId === stackId);
      return found === undefined || lagging.has(found) ? undefined : registration(found);
    },
    async readRegistration(id) {
      const found = state.records.find((candidate) => candidate.id === id);
      return found === undefined ? undefined : registration(found);
    },
    async assign(id, layerId) {
      const found = record(id);
      const layer = state.layers.find((candidate) => candidate.id === layerId);
      if (layer?.stackId !== found.stackId) refuse(`layer ${layerId} is not in the instance's stack`);
      if (found.status !== 'registered') refuse(`instance ${id} is ${found.status}: only a registered one is assigned`);
      if (found.layerIds.length > 0) refuse(`instance ${id} is already assigned`);
      found.layerIds = [layerId];
      found.status = 'running_setup';
      clock.schedule(state.setupTakesMs, () => {
        if (found.status === 'running_setup') found.status = state.setupEndsAs;
      });
    },
    async unassign(id) {
      const found = record(id);
      if (found.layerIds.length === 0) refuse(`instance ${id} is not assigned`);
      if (['unassigning', 'deregistering'].includes(found.status)) refuse(`instance ${id} is ${found.status}`);
      found.status = 'unassigning';
      clock.schedule(state.unassignTakesMs, () => {
        if (found.status !== 'unassigning') return;
        found.layerIds = [];
        found.status = 'registered';
      });
    },
    async deregister(id) {
      const found = record(id);
      if (found.layerIds.length > 0) refuse(`instance ${id} is assigned: unassign it first`);
      if (found.status === 'deregistering') refuse(`instance ${id} is deregistering`);
      found.status = 'deregistering';
      clock.schedule(state.deregisterTakesMs, () => {
        state.records = state.records.filter((candidate) => candidate !== found);
      });
    },
  };
}

const lagging = new WeakSet<FakeRecord>();

/**
 * The number of records that each OpsWorks has made. No id repeats, however many nodes share the
 * stack.
 */
const counts = new WeakMap<FakeOpsWorks, number>();

/**
 * Plays `opsworks-agent-installer/boot-registration`: it reads its preconfig as the real one does,
 * and registers this instance.
 */
export function installerProgram(
  state: FakeOpsWorks,
  machine: FakeMachine,
  instance: FakeInstance,
  ec2InstanceId: string,
  clock: FakeClock,
): Program {
  return async (command, signal) => {
    const preconfig = machine.files.get(command.file.replace(/[^/]+$/, 'preconfig'));
    if (typeof preconfig !== 'string') return { code: 1, tail: 'no preconfig' };
    const lines = preconfig.trimEnd().split('\n');
    const settings = Object.fromEntries(lines.map(parsePreconfigLine));
    if (lines.join() !== lines.toSorted().join()) return { code: 1, tail: 'preconfig is not sorted' };
    if (settings['import'] !== true) return { code: 1, tail: 'this is not an import' };
    const bucket = command.environment['OPSWORKS_ASSETS_DOWNLOAD_BUCKET'];
    if (bucket !== settings['assets_download_bucket']) return { code: 1, tail: 'no assets download bucket' };
    if (command.umask !== 0o007) return { code: 1, tail: 'the private key would be readable by everybody' };
    await clock.sleep(state.installerTakesMs, signal);
    const stackId = String(settings['stack_id']);
    const hostname = String(settings['hostname']);
    const inStack = state.records.filter((record) => record.stackId === stackId);
    if (inStack.some((record) => record.ec2InstanceId === ec2InstanceId)) {
      return {
        code: 1,
        tail: `Aws::OpsWorks::Errors::ValidationException: Instance ${ec2InstanceId} is already registered`,
      };
    }
    if (inStack.some((record) => record.hostname === hostname)) {
      return {
        code: 1,
        tail: `Aws::OpsWorks::Errors::ValidationException: Hostname ${hostname} is already taken in this stack`,
      };
    }
    const count = (counts.get(state) ?? state.records.length) + 1;
    counts.set(state, count);
    const id = `33333333-3333-4333-8333-${String(count).padStart(12, '0')}`;
    const record = { id, stackId, ec2InstanceId, hostname, status: 'registering', layerIds: [] };
    state.records.push(record);
    if (state.listingLagMs > 0) lagging.add(record);
    clock.schedule(state.listingLagMs, () => void lagging.delete(record));
    clock.schedule(state.registersAfterMs, () => {
      if (record.status === 'registering') record.status = state.registersAs;
    });
    clock.schedule(state.protectsAfterMs, () => void (instance.terminationProtection = true));
    return { code: 0, tail: 'registered' };
  };
}

function parsePreconfigLine(line: string): [string, unknown] {
  const [, key = '', value = ''] = /^:([a-z_]+): (.*)$/.exec(line) ?? [];
  if (key === '') throw new Error(`not a line of a preconfig: ${line}`);
  return [key, JSON.parse(value)];
}
