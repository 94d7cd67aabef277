/**
 * The replaced bash script as a node of the same storm: bench/script/user-data.sh, command by
 * command.
 */

import { emptyInstance } from '../../test/fakes/cloud/instance.ts';
import { emptyMachine, type FakeMachine } from '../../test/fakes/machine.ts';
import { installerProgram } from '../../test/fakes/cloud/opsworks.ts';
import { cli, openClient, ruby } from './client.ts';
import { startEcs } from './life.ts';
import { since, type World } from './world.ts';

/**
 * The time of one `aws` command before its first call (the baseline measurement: 0.60 to 0.76 s of
 * CPU).
 */
const commandMs = 650;

/** The script sleeps this long between two polls. */
const pollMs = 5_000;

const bootMs = [15_000, 30_000] as const;

const forEver = new AbortController().signal;

export function bootByScript(world: World, id: string): void {
  void live(world, id);
}

async function live(world: World, id: string): Promise<void> {
  const { clock, chance, opsworks } = world;
  const { sleep } = clock;
  const node = { id, phase: 'up' as const };
  /** Runs one `aws` command; returns false if it gave up. */
  const aws = async (...actions: string[]): Promise<boolean> => {
    await sleep(commandMs, forEver);
    const client = openClient(world.wire, cli, sleep);
    try {
      for (const action of actions) await client.call(action, forEver);
      return true;
    } catch {
      return false;
    }
  };
  await sleep(chance.between(...bootMs), forEver);
  const suggested = (await aws('opsworks:GetHostnameSuggestion')) ? suggestHostname(world) : undefined;
  await aws('ec2:CreateTags');
  // Without a suggestion the option has no value, so the CLI refuses the command line before any
  // call.
  if (suggested !== undefined) await register(world, id, suggested, aws);
  const listed = await aws('opsworks:DescribeInstances');
  const record = listed ? opsworks.records.find(({ ec2InstanceId }) => ec2InstanceId === id) : undefined;
  for (;;) {
    const seen = (await aws('opsworks:DescribeInstances')) ? record?.status : undefined;
    if (seen === 'registered') break;
    await sleep(pollMs, forEver);
  }
  await aws('opsworks:AssignInstance');
  await aws('ec2:ModifyInstanceAttribute');
  // The ECS agent's unit starts after the end of the user data.
  await startEcs(world, node);
  world.inService.push(since(world));
}

function suggestHostname({ opsworks }: World): string {
  const taken = new Set(opsworks.records.map(({ hostname }) => hostname));
  let n = 1;
  while (taken.has(`ecs-${n}`)) n++;
  return `ecs-${n}`;
}

/**
 * Plays `aws opsworks register --local`: searches the name in the stack, then runs the same
 * installer.
 */
async function register(
  world: World,
  id: string,
  hostname: string,
  aws: (...actions: string[]) => Promise<boolean>,
): Promise<void> {
  const { opsworks, clock, fakeClock, wire } = world;
  const calls = ['DescribeStacks', 'DescribeStackProvisioningParameters', 'DescribeInstances'];
  if (!(await aws(...calls.map((action) => `opsworks:${action}`)))) return;
  if (opsworks.records.some((record) => record.hostname === hostname)) return;
  try {
    await openClient(wire, ruby, clock.sleep).call('opsworks:RegisterInstance', forEver);
  } catch {
    return;
  }
  const machine: FakeMachine = emptyMachine();
  const stackId = opsworks.stacks[0]!.id;
  const settings = { assets_download_bucket: 'opsworks-assets', hostname, import: true, stack_id: stackId };
  const lines = Object.entries(settings).map(([key, value]) => `:${key}: ${JSON.stringify(value)}\n`);
  machine.files.set('/installer/preconfig', lines.join(''));
  const install = installerProgram(opsworks, machine, emptyInstance(), id, fakeClock);
  const environment = { OPSWORKS_ASSETS_DOWNLOAD_BUCKET: 'opsworks-assets' };
  await install({ file: '/installer/boot-registration', args: [], environment, umask: 0o007 }, forEver);
}
