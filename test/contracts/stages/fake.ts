/**
 * The in-memory world of the unit tests, as a stage of the contracts. So the unit tests only rely
 * on behaviour that the contracts check here.
 */

import { Unavailable, ConfigError } from '../../../core/errors.ts';
import { shortDefinition } from '../../../core/task-definition.ts';
import { someBalancer } from '../../fakes/cloud/balancers.ts';
import { addDocuments, type FakeDocumentSources } from '../../fakes/cloud/configuration.ts';
import { someHook } from '../../fakes/cloud/group.ts';
import { openFakeHost } from '../../fakes/host.ts';
import type { CloudStage, OpenCloud } from '../cloud.ts';
import type { EcsAgentStage } from '../ecs-agent.ts';
import type { MachineStage } from '../machine.ts';
import type { MetadataStage } from '../metadata.ts';

export async function fakeMetadata(): Promise<MetadataStage> {
  const { host, world } = openFakeHost();
  const { metadata: state, clock } = world;
  return {
    metadata: host.metadata,
    identity: world.identity,
    setTags: (tags) => void (state.tags = tags),
    setUserData: (text) => void (state.userData = new TextEncoder().encode(text)),
    setSpotNotice: (notice) => void (state.spotNotice = notice),
    recommendRebalance: () => void (state.rebalanceNotice = new Date(clock.now()).toISOString()),
    schedule: (event) => void state.maintenance.push({ id: 'instance-event-1', state: 'active', ...event }),
    setTargetState: (target) => void (state.targetState = target),
    fail: () => world.calls.fails('metadata.*', new Unavailable('instance metadata: 503')),
    close: async () => {},
  };
}

export async function fakeMachine(): Promise<MachineStage> {
  const { host, world } = openFakeHost();
  const { machine: state } = world;
  let urls = 0;
  return {
    machine: host.machine,
    async addProgram(path, code) {
      state.programs.set(path, ({ args, environment }) => ({
        code,
        tail: `${environment['GREETING']} ${args.join(' ')}\n`,
      }));
    },
    async addBinaryFile(path) {
      state.files.set(path, new ConfigError([{ path, problem: 'is not UTF-8 text' }]));
    },
    async serveArchive(files) {
      const url = `https://example.com/${++urls}.tgz`;
      state.archives.set(url, files);
      return url;
    },
    async serveStatus(status) {
      const url = `http://127.0.0.1/${++urls}`;
      state.probes.set(url, status);
      return url;
    },
    nowhere: async () => 'http://127.0.0.1/nowhere',
    close: async () => {},
  };
}

export async function fakeEcsAgent(): Promise<EcsAgentStage> {
  const { host, world, clock } = openFakeHost();
  return {
    ecsAgent: host.ecsAgent,
    cluster: world.cluster.name,
    register: async () => void world.joinCluster(),
    runTask: async () => world.cluster.addTask(world.localAgent!.containerInstanceArn!).arn,
    async publish() {
      const ports = [{ protocol: 'tcp', containerPort: 80, hostPort: 32_768 }];
      const containers = [{ name: 'web', dockerId: 'c'.repeat(64), ports }];
      return world.cluster.addTask(world.localAgent!.containerInstanceArn!, { containers }).arn;
    },
    pause: () => clock.run(1_000),
    close: async () => {},
  };
}

function stageConfiguration(documentSources: FakeDocumentSources): NonNullable<CloudStage['configuration']> {
  const [ssm, s3] = ['ssm:/ecs/web', 's3://ours/ecs/web'];
  const change = (source: string, name: string, text?: string) => {
    const texts = [...(documentSources.get(source) ?? [])].map(([key, document]) => [key, document.text]);
    const { [name]: _old, ...others } = Object.fromEntries(texts) as Record<string, string>;
    addDocuments(documentSources, source, { ...others, ...(text !== undefined && { [name]: text }) });
  };
  // Names in deeper folders belong to another document source.
  const isHere = (name: string) => !name.includes('/');
  return {
    ssm,
    s3,
    putParameter: async (name, text) => void (isHere(name) && change(ssm, name, text)),
    deleteParameter: async (name) => change(ssm, name),
    putObject: async (key, text) => void (isHere(key) && change(s3, key, text)),
    deleteObject: async (key) => change(s3, key),
  };
}

export const fakeCloud: OpenCloud = async ({ member }) => {
  const { host, world, clock } = openFakeHost();
  const { opsworks, instance } = world;
  const [stack, layer] = [opsworks.stacks[0]!, opsworks.layers[0]!];
  if (member) world.joinGroup('web');
  return {
    cloud: host.cloud,
    pause: () => clock.run(1_000),
    close: async () => {},
    configuration: stageConfiguration(world.documentSources),
    instance: {
      protect: async () => void (instance.terminationProtection = true),
      isEnding: async () => instance.state === 'shutting-down',
    },
    group: {
      name: 'web',
      putHook: async (hook) => void world.group!.hooks.push(someHook(hook.name, hook.transition, hook)),
      beginTermination: async () => world.group!.begin('terminate'),
      hasHistory: false,
    },
    cluster: {
      name: world.cluster.name,
      register: async () => world.joinCluster().arn,
      runTask: async () => world.cluster.addTask(world.localAgent!.containerInstanceArn!).arn,
      define: async (family, memory) =>
        world.cluster.addDefinition(family, memory > 8_192 ? { failure: 'RESOURCE:MEMORY' } : {}),
      async retire(definition) {
        const [family, revision] = shortDefinition(definition).split(':');
        const found = world.cluster.definitions.find(
          (each) => each.family === family && String(each.revision) === revision,
        );
        found!.status = 'INACTIVE';
      },
      provide: async (name, ofGroup) => void world.cluster.capacityProviders.set(name, ofGroup),
      counts: true,
    },
    balancers: {
      async targetGroup() {
        const arn = 'arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef';
        world.balancers.targetGroups.set(arn, someBalancer());
        return arn;
      },
      async loadBalancer() {
        world.balancers.loadBalancers.set('classic', someBalancer());
        return 'classic';
      },
      drains: true,
    },
    opsworks: {
      stack: { id: stack.id, name: stack.name },
      layer: { id: layer.id, shortName: layer.shortName },
      async register() {
        const preconfig = { assets_download_bucket: 'b', hostname: 'web-1', import: true, stack_id: stack.id };
        const lines = Object.entries(preconfig).map(([key, value]) => `:${key}: ${JSON.stringify(value)}\n`);
        await host.machine.writeText('/opsworks-agent-installer/preconfig', lines.join(''));
        const file = '/opsworks-agent-installer/boot-registration';
        const environment = { OPSWORKS_ASSETS_DOWNLOAD_BUCKET: 'b' };
        const command = { file, args: [], environment, umask: 0o007 };
        await clock.finish(host.machine.run(command, new AbortController().signal));
      },
    },
    systemsManager: { start: async () => void (world.systemsManager.ping = 'Online') },
    events: {
      received: async () => world.events.map(({ type, detail }) => ({ source: 'ecs-node', type, detail })),
    },
    metrics: {
      names: async (wanted) =>
        world.published.flatMap(({ namespace, metrics }) =>
          namespace === wanted ? metrics.map(({ name }) => name) : [],
        ),
    },
  };
};
