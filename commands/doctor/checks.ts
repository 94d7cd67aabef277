/** The checks of everything that a node depends on, the most basic first. */

import { openWatchedPaths, uniqueDisks } from '../../agent/docker-root.ts';
import { usedInodesPercent, usedPercent, wholePercent } from '../../agent/fullness.ts';
import { findOddLines, oddRemedy } from '../../agent/kept-images.ts';
import type { Config } from '../../config/config.ts';
import { messageOf, Refused } from '../../core/errors.ts';
import type { DiskUse } from '../../core/host.ts';
import { withTimeout } from '../../core/retry.ts';
import type { Examination } from '../../host/aws/examine/examination.ts';
import { ok, unsure, wrong, type Check, type Diagnosis, type ExaminedNode } from './check.ts';
import { capacityProvider } from './capacity-provider.ts';
import { hooks } from './hooks.ts';
import { permissions } from './permissions.ts';
import { reach } from './reach.ts';

const configuration: Check = {
  name: 'configuration',
  async run({ config, configTroubles }) {
    if (config !== undefined) return ok(`valid; cluster ${config.cluster}, registrar ${config.registrar}`);
    return configTroubles.map((trouble) => wrong(trouble, 'ecs-node check shows the whole of it'));
  },
};

const metadata: Check = {
  name: 'instance metadata',
  async run({ identity, identityTrouble }) {
    if (identity !== undefined) return ok(`version 2 answers; ${identity.instanceId} in ${identity.zone}`);
    return wrong(
      identityTrouble ?? 'does not answer',
      'on an EC2 instance, enable the metadata option HttpEndpoint; elsewhere, set AWS_EC2_METADATA_SERVICE_ENDPOINT',
    );
  },
};

/** Two options keep tasks from the node's role, each for one network mode. Host mode has none. */
const isolation: Check = {
  name: 'metadata options',
  async run({ examination, config }, signal) {
    if (examination === undefined) return unsure('not checked without instance metadata');
    return [await judgeMetadataOptions(examination, signal), ...judgeAwsvpc(config)];
  },
};

/**
 * A task in bridge mode is one network hop further away than the node. A hop limit above 1 lets it
 * use the node's role.
 */
async function judgeMetadataOptions(examination: Examination, signal: AbortSignal): Promise<Diagnosis> {
  try {
    const options = await examination.readMetadataOptions(signal);
    if (options === undefined) return unsure('EC2 does not report them');
    const { hopLimit, tokensRequired } = options;
    if (!tokensRequired)
      return wrong(
        'version 1 is still allowed (HttpTokens optional)',
        'set HttpTokens: required in the launch template',
      );
    if (hopLimit > 1) {
      return unsure(
        `hop limit ${hopLimit}: tasks in bridge mode may reach this node's role`,
        'set HttpPutResponseHopLimit: 1 in the launch template, unless they need it',
      );
    }
    return ok(`version 2 required, hop limit ${hopLimit}`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return unsure(
      'hop limit not known: the role may not call ec2:DescribeInstances, and the node itself does not need it',
      'read it elsewhere: aws ec2 describe-instances --query "Reservations[].Instances[].MetadataOptions"',
    );
  }
}

/** A task in awsvpc mode has a network interface of its own. Only the ECS agent can block it. */
function judgeAwsvpc(config: Config | undefined): Diagnosis[] {
  if (config === undefined || config.ecs.settings['ECS_AWSVPC_BLOCK_IMDS'] === 'true') return [];
  return [
    unsure(
      "tasks in awsvpc mode may reach this node's role",
      'set ecs.settings.ECS_AWSVPC_BLOCK_IMDS: "true", unless they need it',
    ),
  ];
}

const profile: Check = {
  name: 'instance profile',
  async run({ identity, examination }) {
    if (identity === undefined) return unsure('not checked without instance metadata');
    const trouble = await examination?.readCredentialsTrouble();
    if (trouble !== undefined) {
      const remedy = trouble.includes('trust policy')
        ? 'let ec2.amazonaws.com assume it: sts:AssumeRole for the principal Service ec2.amazonaws.com in the trust policy of the role'
        : attachProfile;
      return wrong(trouble, remedy);
    }
    if (identity.role !== undefined) return ok(`role ${identity.role}`);
    return wrong('there is none, so AWS cannot be called', attachProfile);
  },
};

const attachProfile =
  'attach one (IamInstanceProfile in the launch template), whose role may do what "ecs-node policy" prints';

/** AWS refuses signatures whose time is five minutes off. The check warns from half of that on. */
const skewLimitMs = 300_000;

const clock: Check = {
  name: 'clock',
  async run({ examination, clock: own }, signal) {
    if (examination === undefined) return unsure('not compared without instance metadata');
    const theirs = await examination.readClock(signal);
    if (theirs === undefined) return unsure("AWS's answer has no date");
    const skewMs = own.now() - theirs;
    const what = `${Math.abs(Math.round(skewMs / 1000))} s ${skewMs < 0 ? 'behind' : 'ahead of'} AWS`;
    const mend = 'AWS refuses signatures from 300 s on: systemctl restart chronyd; chronyc tracking';
    if (Math.abs(skewMs) >= skewLimitMs) return wrong(what, mend);
    return Math.abs(skewMs) >= skewLimitMs / 2 ? unsure(what, mend) : ok(what);
  },
};

const ecsAgent: Check = {
  name: 'ECS agent',
  async run({ ecsAgent: agent, config }, signal) {
    const found = await agent.readAgent(signal);
    if (found === undefined)
      return wrong(
        'does not listen: it does not run, or has not registered',
        'systemctl status ecs; journalctl -u ecs -n 50',
      );
    const { cluster, version, containerInstanceArn } = found;
    if (config !== undefined && cluster !== config.cluster) {
      const mend =
        'it was registered before the configuration said so: stop ecs, remove /var/lib/ecs/data/agent.db, start ecs';
      return wrong(`is in the cluster ${cluster}, not in ${config.cluster}`, mend);
    }
    if (containerInstanceArn === undefined) return wrong('has not registered yet', 'journalctl -u ecs -n 50');
    return ok(`in the cluster ${cluster}; ${version}`);
  },
};

/** Docker answers a ping from memory. If it takes longer, it hangs. */
const dockerMs = 5_000;

const docker: Check = {
  name: 'Docker',
  async run({ docker: engine, clock: time }, signal) {
    try {
      await withTimeout(dockerMs, async (callSignal) => engine.ping(callSignal), time, signal);
      return ok('answers on its socket');
    } catch (error) {
      signal.throwIfAborted();
      return wrong(messageOf(error), 'systemctl status docker; journalctl -u docker -n 50');
    }
  },
};

const disk: Check = {
  name: 'disk',
  async run(node, signal) {
    const { machine, config } = node;
    const paths = await diskPaths(node, signal);
    const full = config?.disk.fullPercent ?? 90;
    const { uses, unmeasured } = await machine.measureDisks(paths);
    return [
      ...uniqueDisks(uses).map((use) => diagnoseDisk(use, full)),
      ...unmeasured.map(({ path, reason }) =>
        unsure(`${path} could not be measured: ${reason}`, `is its server up? findmnt --target ${path}`),
      ),
      ...(await findOddLines(machine)).map((line) => wrong(`no name of an image: ${line}`, oddRemedy)),
    ];
  },
};

function diagnoseDisk(use: DiskUse, full: number): Diagnosis {
  const bytes = wholePercent(usedPercent(use));
  const inodes = wholePercent(usedInodesPercent(use));
  const what = `${use.mountPath}: ${bytes} % of ${Math.round(use.totalBytes / 2 ** 30)} GiB and ${inodes} % of its inodes are used`;
  if (Math.max(bytes, inodes) < full) return ok(what);
  return wrong(
    what,
    `it counts as full from ${full} % on (disk.fullPercent): docker system df; attach a larger volume, or remove images that no task needs`,
  );
}

async function diskPaths(node: ExaminedNode, signal: AbortSignal): Promise<string[]> {
  return node.config === undefined ? ['/'] : openWatchedPaths(node.config).list(node, signal);
}

const units: Check = {
  name: 'unit',
  async run({ machine }, signal) {
    const diagnoses: Diagnosis[] = [];
    for (const unit of ['ecs-node-bootstrap.service', 'ecs-node.service', 'ecs.service']) {
      const { code, tail } = await machine.run(systemctl('is-enabled', unit), signal);
      const state = tail.trim().split('\n').at(-1) ?? '';
      const mend = /not.?found|No such file/i.test(tail)
        ? `install it: there is no ${unit}`
        : `systemctl enable ${unit}`;
      diagnoses.push(code === 0 ? ok(`${unit} is enabled`) : wrong(`${unit} is ${state || 'not enabled'}`, mend));
    }
    return diagnoses;
  },
};

function systemctl(...args: string[]) {
  return { file: '/usr/bin/systemctl', args, environment: { LC_ALL: 'C' } };
}

export const checks: readonly Check[] = [
  configuration,
  metadata,
  isolation,
  profile,
  reach,
  clock,
  permissions,
  hooks,
  ecsAgent,
  capacityProvider,
  docker,
  disk,
  units,
];

/** Bounds every check. All of them run at the same time, while a person waits. */
export const checkMs = 20_000;

export function troubleOf(error: unknown): Diagnosis {
  return unsure(`could not be checked: ${messageOf(error)}`);
}
