// One simulated account in which the binary and the script that it replaces bootstrap nodes in
// turn. It runs as its own process, and in a network namespace where possible, because the script
// only knows 169.254.169.254. It reads JSON and writes JSON lines.
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { openMachine } from '../simulator/machine.ts';
import { layerId, stackId, startSimulator, type Simulator } from '../simulator/simulator.ts';
import { registerInstance } from '../simulator/world/opsworks.ts';
import { openMetadataFront, type MetadataFront } from './fronts/metadata-front.ts';
import { makeCertificate, openTlsFront, type Certificate, type Front } from './fronts/tls-front.ts';
import { timeRun, type Run } from './measure.ts';

export interface WorldOptions {
  binary: string;
  /**
   * The absolute path of an AWS CLI that still has `opsworks register`. Without it the script is
   * left out.
   */
  cli?: string;
  rounds: number;
  /** The numbers of other instances in the stack to measure with. */
  stackSizes: readonly number[];
}

/**
 * The installer is the same for both contenders and stands for a much slower one, so it is measured
 * alone too.
 */
export type Contender = 'ecs-node' | 'script' | 'installer';

export interface Bootstrap extends Run {
  contender: Contender;
  /** The number of other instances in the stack. */
  stackSize: number;
  /**
   * True if the run only measures the cost of the stack's size; its times are not those of a whole
   * bootstrap.
   */
  hurried: boolean;
  /** The installer has the size of the real one. */
  large: boolean;
  /** The AWS calls by service. */
  calls: Record<string, number>;
  metadata: number;
  connections: number;
  opsworksBytes: number;
}

/**
 * The real OpsWorks takes minutes. In this time the script polls four times, as in the baseline
 * measurement.
 */
const registeringMs = 16_500;
const hurriedMs = 500;

const region = 'us-east-1';
const run = promisify(execFile);

if (import.meta.main) await main(JSON.parse(await text(process.stdin)) as WorldOptions);

async function main({ binary, cli, rounds, stackSizes }: WorldOptions): Promise<void> {
  // In this process's own namespaces no other process uses /mnt. A second mount hides it under an
  // empty /tmp for the script.
  if (cli !== undefined) await run('mount', ['-t', 'tmpfs', 'tmpfs', '/mnt']);
  const folder = cli === undefined ? await mkdtemp(join(tmpdir(), 'ecs-node-')) : '/mnt';
  const certificate = await makeCertificate(folder);
  let metadata: MetadataFront | undefined;
  if (cli !== undefined) {
    await run('ip', ['link', 'set', 'lo', 'up']);
    await run('ip', ['address', 'add', '169.254.169.254/32', 'dev', 'lo']);
    metadata = await openMetadataFront('169.254.169.254:80');
  }
  const report = (bootstrap: Bootstrap) => process.stdout.write(`${JSON.stringify(bootstrap)}\n`);
  const sides = (account: Account): (() => Promise<Bootstrap>)[] => [
    () => bootstrapByBinary(account, binary),
    ...(metadata && cli !== undefined ? [() => bootstrapByScript(account, metadata, cli)] : []),
    ...(account.hurried ? [] : [() => runInstaller(account)]),
  ];
  try {
    const live = (circumstances: Omit<AccountOptions, 'folder' | 'certificate'>) =>
      withAccount({ folder, certificate, ...circumstances }, async (account) => {
        for (const side of sides(account)) report(await side());
      });
    for (let round = 0; round < rounds; round += 1)
      for (const large of [false, true]) await live({ stackSize: stackSizes[0]!, hurried: false, large });
    for (const stackSize of stackSizes) await live({ stackSize, hurried: true, large: false });
  } finally {
    metadata?.close();
    if (cli === undefined) await rm(folder, { recursive: true, force: true });
  }
}

interface AccountOptions {
  folder: string;
  certificate: Certificate;
  stackSize: number;
  hurried: boolean;
  large: boolean;
}

interface Account extends AccountOptions {
  simulator: Simulator;
  /** A front for OpsWorks alone, so that its bytes can be counted. */
  opsworks: Front;
  others: Front;
}

async function withAccount(circumstances: AccountOptions, use: (account: Account) => Promise<void>): Promise<void> {
  const { certificate, stackSize, hurried, large } = circumstances;
  const simulator = await startSimulator({
    region,
    // The script searches the record once, at once; without it, it would poll an empty id for ever.
    settings: {
      opsworks: {
        registeringMs: hurried ? hurriedMs : registeringMs,
        listingLagMs: 0,
        installer: large ? 'large' : 'good',
      },
    },
  });
  const [opsworks, others] = [
    await openTlsFront(simulator.endpoint, certificate),
    await openTlsFront(simulator.endpoint, certificate),
  ];
  await fillStack(simulator, stackSize);
  try {
    await use({ ...circumstances, simulator, opsworks, others });
  } finally {
    opsworks.close();
    others.close();
    await simulator.close();
  }
}

/** Adds nodes that registered long ago; only their number matters. */
async function fillStack({ verbs, world }: Simulator, size: number): Promise<void> {
  const model = await verbs.launch();
  for (let number = 1; number <= size; number += 1) {
    const instance = { ...model, id: `i-0${number.toString(16).padStart(16, '0')}` };
    const address = `10.1.${number >> 8}.${number & 255}`;
    registerInstance(world, {
      stack: world.stacks.get(stackId)!,
      instance,
      hostname: `ecs${number}`,
      privateIp: address,
      publicIp: address,
    });
  }
}

async function bootstrapByBinary(account: Account, binary: string): Promise<Bootstrap> {
  const { simulator, folder, certificate } = account;
  const id = await launch(simulator);
  const machine = await openMachine({
    binary,
    root: join(folder, id),
    environment: {},
    flags: [],
    startEcsAgent: () => {},
    stopEcsAgent: () => {},
  });
  // As on a Nitro instance.
  const firmware = join(machine.root, 'sys/devices/virtual/dmi/id');
  await mkdir(firmware, { recursive: true });
  await writeFile(join(firmware, 'board_asset_tag'), `${id}\n`);
  const settings = ['--cluster', 'demo', '--registrar', 'opsworks', '--opsworks-region', region];
  const stackFlags = ['--opsworks-stack', stackId, '--opsworks-layer', layerId];
  const env = {
    PATH: '/usr/bin:/bin',
    ...simulator.environmentFor(id),
    AWS_ENDPOINT_URL: account.others.url,
    AWS_ENDPOINT_URL_OPSWORKS: account.opsworks.url,
    NODE_EXTRA_CA_CERTS: certificate.file,
  };
  try {
    return await observe(account, 'ecs-node', id, undefined, () =>
      timed([binary, '--root', machine.root, 'bootstrap', ...settings, ...stackFlags], env, folder),
    );
  } finally {
    await machine.close();
  }
}

async function bootstrapByScript(account: Account, metadata: MetadataFront, cli: string): Promise<Bootstrap> {
  const { simulator, folder, certificate } = account;
  const id = await launch(simulator);
  metadata.pointAt(simulator.imdsEndpoint(id));
  const tools = join(folder, 'tools');
  await mkdir(tools, { recursive: true });
  // An AWS CLI of that age does not know AWS_ENDPOINT_URL, and the script already runs as root.
  const endpoints = `if [ "$1" = opsworks ]; then url=${account.opsworks.url}; else url=${account.others.url}; fi`;
  await program(join(tools, 'aws'), `${endpoints}\nexec ${cli} "$@" --endpoint-url "$url"`);
  await program(join(tools, 'sudo'), 'exec "$@"');
  const env = {
    PATH: `${tools}:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: folder,
    AWS_CA_BUNDLE: certificate.file,
    ECS_CLUSTER: 'demo',
    OPSWORKS_REGION: region,
    OPSWORKS_STACK_ID: stackId,
    OPSWORKS_LAYER_ID: layerId,
  };
  const script = join(folder, 'user-data.sh');
  await copyFile(join(import.meta.dirname, 'script/user-data.sh'), script);
  return observe(account, 'script', id, metadata, () =>
    onFreshMachine(folder, () => timed(['bash', script], env, folder)),
  );
}

/** Measures the installer's own cost, between its download and the registration. */
async function runInstaller(account: Account): Promise<Bootstrap> {
  const { simulator, folder } = account;
  const id = await launch(simulator);
  const home = join(folder, 'installer');
  await rm(home, { recursive: true, force: true });
  await mkdir(home);
  const archive = await fetch(`${simulator.endpoint}/opsworks/${id}/opsworks-agent-installer.tgz`);
  await writeFile(join(home, 'installer.tgz'), archive.body!);
  await run('tar', ['-xzf', join(home, 'installer.tgz'), '-C', home]);
  const program = join(home, 'opsworks-agent-installer');
  await writeFile(join(program, 'preconfig'), `:hostname: "installer-${id.slice(-4)}"\n:stack_id: "${stackId}"\n`);
  return observe(account, 'installer', id, undefined, () =>
    timed([join(program, 'boot-registration')], { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, folder),
  );
}

/** The script writes below /etc and /tmp as if it owned the machine. */
async function onFreshMachine<T>(folder: string, use: () => Promise<T>): Promise<T> {
  const [upper, work] = [join(folder, 'etc'), join(folder, 'etc-work')];
  for (const each of [upper, work]) await rm(each, { recursive: true, force: true });
  for (const each of [join(upper, 'ecs'), work]) await mkdir(each, { recursive: true });
  await run('mount', ['-t', 'overlay', '-o', `lowerdir=/etc,upperdir=${upper},workdir=${work}`, 'overlay', '/etc']);
  await run('mount', ['-t', 'tmpfs', 'tmpfs', '/tmp']);
  try {
    return await use();
  } finally {
    await run('umount', ['--lazy', '/tmp', '/etc']);
  }
}

/**
 * Observes a bootstrap from the side of AWS and the metadata service. Throws if the node is not
 * registered and assigned afterwards.
 */
async function observe(
  account: Account,
  contender: Contender,
  id: string,
  metadata: MetadataFront | undefined,
  bootstrap: () => Promise<Run>,
): Promise<Bootstrap> {
  const { simulator, opsworks, others, stackSize, hurried, large } = account;
  opsworks.reset();
  others.reset();
  metadata?.reset();
  const ran = await bootstrap();
  const registration = [...simulator.world.registrations.values()].find(({ instanceId }) => instanceId === id);
  if (!registration) throw new Error(`${contender}: the node is not registered`);
  if (contender !== 'installer' && registration.layerIds[0] !== layerId)
    throw new Error(`${contender}: the node is not in its layer after bootstrap`);
  const own = simulator.calls.list.filter(
    ({ instanceId, service }) => instanceId === id && service !== 'introspection',
  );
  const calls: Record<string, number> = {};
  for (const { service } of own) if (service !== 'imds') calls[service] = (calls[service] ?? 0) + 1;
  return {
    ...ran,
    contender,
    stackSize,
    hurried,
    large,
    calls,
    metadata: metadata?.count ?? own.filter(({ service }) => service === 'imds').length,
    connections: opsworks.counts.connections + others.counts.connections,
    opsworksBytes: opsworks.counts.bytesIn,
  };
}

async function launch({ verbs, world }: Simulator): Promise<string> {
  const group = world.groups.get('ecs-nodes')!;
  const members = await verbs.scaleTo(group.name, group.desired + 1);
  return members.at(-1)!.id;
}

async function timed(command: string[], env: Record<string, string>, folder: string): Promise<Run> {
  const output = join(folder, 'output');
  try {
    return await timeRun(command, { env, peak: true, output });
  } catch (error) {
    const last = (await readFile(output, 'utf8').catch(() => '')).split('\n').slice(-20).join('\n');
    throw new Error(`${command.join(' ')} failed:\n${last}`, { cause: error });
  }
}

async function program(file: string, script: string): Promise<void> {
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
}
