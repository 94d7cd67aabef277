import {
  AssignInstanceCommand,
  DeregisterInstanceCommand,
  DescribeInstancesCommand,
  DescribeLayersCommand,
  DescribeStackProvisioningParametersCommand,
  DescribeStacksCommand,
  GetHostnameSuggestionCommand,
  RegisterInstanceCommand,
  UnassignInstanceCommand,
} from '@aws-sdk/client-opsworks';
import { execFile } from 'node:child_process';
import { mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { layerId, stackId, type Simulator } from '../../simulator/simulator.ts';
import { renderInstaller } from '../../simulator/installer/installer.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { clients, codeOf, metadata, open, roleCredentials } from './stage.ts';

const run = promisify(execFile);

async function stage() {
  const simulator = await open();
  const { id } = await simulator.verbs.launch();
  const { opsworks } = clients(simulator, await roleCredentials(simulator, id));
  return { simulator, id, opsworks };
}

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'installer-'));
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  return made;
}

/**
 * Downloads, unpacks and runs the installer as `aws opsworks register` did; only `tools` are on the
 * PATH beside the shell's.
 */
async function install(simulator: Simulator, id: string, hostname: string, tools?: string[]): Promise<string> {
  const { opsworks } = clients(simulator, await roleCredentials(simulator, id));
  const { AgentInstallerUrl } = await opsworks.send(
    new DescribeStackProvisioningParametersCommand({ StackId: stackId }),
  );
  const home = await folder();
  const archive = Buffer.from(await (await fetch(AgentInstallerUrl!)).arrayBuffer());
  await writeFile(join(home, 'installer.tgz'), archive);
  await run('tar', ['-xzf', 'installer.tgz'], { cwd: home });
  const place = join(home, 'opsworks-agent-installer');
  await writeFile(join(place, 'preconfig'), `:hostname: "${hostname}"\n:import: true\n:stack_id: "${stackId}"\n`);
  const PATH = tools ? await pathWith(home, tools) : '/usr/bin:/bin';
  const { stdout } = await run(join(place, 'boot-registration'), [], { env: { PATH }, cwd: home });
  return stdout;
}

async function pathWith(home: string, tools: string[]): Promise<string> {
  const bin = join(home, 'bin');
  await mkdir(bin);
  for (const tool of ['sh', 'cat', 'sed', 'dirname', ...tools]) {
    const { stdout } = await run('/bin/sh', ['-c', `command -v ${tool}`]);
    await symlink(tool === 'python3' ? await realPython() : stdout.trim(), join(bin, tool));
  }
  return bin;
}

/** Where a version manager stands before it. */
async function realPython(): Promise<string> {
  const { stdout } = await run('python3', ['-c', 'import sys; print(sys.executable)']);
  return stdout.trim();
}

describe('registration', () => {
  for (const tool of ['curl', 'python3', 'node']) {
    it(`by the installer works where only ${tool} speaks HTTP`, async () => {
      const { simulator, id } = await stage();
      expect(await install(simulator, id, 'ecs1', [tool])).toContain('registered');
      expect([...simulator.world.registrations.values()]).toMatchObject([
        { instanceId: id, hostname: 'ecs1', stackId },
      ]);
      expect(simulator.calls.find({ operation: 'RegisterInstance' })).toMatchObject([
        { instanceId: id, outcome: 'ok' },
      ]);
    });
  }

  it('goes through its states, turns termination protection on, and can be undone', async () => {
    const { simulator, id, opsworks } = await stage();
    await install(simulator, id, 'ecs1');
    const read = async () => (await opsworks.send(new DescribeInstancesCommand({ StackId: stackId }))).Instances![0];
    const reaches = (status: string) => waitFor(status, async () => (await read())?.Status === status);
    const { InstanceId, Ec2InstanceId } = (await read())!;
    expect(Ec2InstanceId).toBe(id);
    const assign = (layer: string) =>
      codeOf(opsworks.send(new AssignInstanceCommand({ InstanceId: InstanceId!, LayerIds: [layer] })));
    await reaches('registered');
    await waitFor('protected', () => simulator.world.instances.get(id)!.disableApiTermination);
    expect(await assign('33333333-3333-4333-8333-333333333333')).toBe('ResourceNotFoundException');
    expect(await assign(layerId)).toBe('ok');
    expect(await assign(layerId)).toBe('ValidationException');
    await reaches('online');
    const byLayer = await opsworks.send(new DescribeInstancesCommand({ LayerId: layerId }));
    expect(byLayer.Instances).toHaveLength(1);
    await opsworks.send(new UnassignInstanceCommand({ InstanceId: InstanceId! }));
    await reaches('registered');
    await opsworks.send(new DeregisterInstanceCommand({ InstanceId: InstanceId! }));
    await waitFor('gone', async () => (await read()) === undefined);
  });

  it('with a taken name, or twice, fails with the reason on stderr', async () => {
    const { simulator, id } = await stage();
    await install(simulator, id, 'ecs1');
    const { id: second } = await simulator.verbs.launch();
    await expect(install(simulator, second, 'ecs1')).rejects.toThrow(/Hostname ecs1 is already in use/);
    await expect(install(simulator, second, '-bad-')).rejects.toThrow(/Hostname -bad- is invalid/);
    await expect(install(simulator, id, 'ecs2')).rejects.toThrow(/is already registered/);
  });

  it('needs a document of a running instance, signed by the metadata service', async () => {
    const { simulator, id, opsworks } = await stage();
    const base = simulator.imdsEndpoint(id);
    const { body: Document } = await metadata(base, 'dynamic/instance-identity/document');
    const { body: Signature } = await metadata(base, 'dynamic/instance-identity/signature');
    const register = (InstanceIdentity: object, RsaPublicKey = 'none') =>
      codeOf(opsworks.send(new RegisterInstanceCommand({ StackId: stackId, InstanceIdentity, RsaPublicKey })));
    expect(await register({})).toBe('ValidationException');
    expect(await register({ Document: Document.replace('x86_64', 'arm64'), Signature })).toBe('ValidationException');
    expect(await register({ Document, Signature })).toBe('ValidationException');
    const { generateKeyPairSync } = await import('node:crypto');
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    expect(await register({ Document, Signature }, pem)).toBe('ok');
  });

  it('leaves a record in connection_lost when its instance dies', async () => {
    const { simulator, id } = await stage();
    await install(simulator, id, 'ecs1');
    simulator.verbs.terminate(id);
    const [registration] = simulator.world.registrations.values();
    await waitFor('it is dead', () => simulator.world.instances.get(id)!.state === 'terminated');
    await waitFor('noticed', () => registration!.status !== 'registered' && registration!.status !== 'registering');
    expect(registration!.status).toBe('connection_lost');
  });
});

describe('descriptions', () => {
  it('name stacks and layers, and refuse more or less than one way to choose instances', async () => {
    const { opsworks } = await stage();
    expect((await opsworks.send(new DescribeStacksCommand({}))).Stacks).toMatchObject([
      { StackId: stackId, Name: 'demo', Region: 'us-east-1' },
    ]);
    expect((await opsworks.send(new DescribeLayersCommand({ StackId: stackId }))).Layers).toMatchObject([
      { LayerId: layerId, Shortname: 'ecs', StackId: stackId },
    ]);
    expect(await codeOf(opsworks.send(new DescribeInstancesCommand({})))).toBe('ValidationException');
    const both = { StackId: stackId, LayerId: layerId };
    expect(await codeOf(opsworks.send(new DescribeInstancesCommand(both)))).toBe('ValidationException');
    const unknown = { StackIds: ['33333333-3333-4333-8333-333333333333'] };
    expect(await codeOf(opsworks.send(new DescribeStacksCommand(unknown)))).toBe('ResourceNotFoundException');
  });

  it('suggest the same host name to two simultaneous callers', async () => {
    const { opsworks } = await stage();
    const ask = () => opsworks.send(new GetHostnameSuggestionCommand({ LayerId: layerId }));
    const [one, two] = await Promise.all([ask(), ask()]);
    expect([one.Hostname, two.Hostname]).toEqual(['ecs1', 'ecs1']);
  });
});

describe('bad installers', () => {
  const place = { metadata: 'http://m', register: 'http://r', publicKey: '' };
  const text = (variant: Parameters<typeof renderInstaller>[0]) =>
    gunzipSync(renderInstaller(variant, place)!).toString('latin1');

  it('are no archive, leave their folder, or cannot be run', () => {
    expect(() => text('no-archive')).toThrow('incorrect header check');
    expect(text('traversal')).toContain('../evil');
    expect(text('symlink')).toContain('opsworks-agent-installer/out/evil');
    expect(text('no-boot-registration')).not.toContain('boot-registration');
    expect(text('failing')).toContain('exit 3');
    expect(text('refused')).toContain('Aws::OpsWorks::Errors::ValidationException');
    expect(renderInstaller('missing', place)).toBeUndefined();
  });
});
