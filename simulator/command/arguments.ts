/** Parses the simulator's command line. */

import type { FaultRule, RateLimit } from '../faults.ts';
import type { HookOptions } from '../options.ts';
import { defaultSettings, type SettingsPatch } from '../settings.ts';
import {
  eventNames,
  parseDuration,
  parseEvent,
  parseFault,
  parseHook,
  parseLimit,
  UsageError,
  type TimedEvent,
} from './words.ts';

export interface Arguments {
  help: boolean;
  port: number;
  region: string;
  imds: string | undefined;
  introspection: string | undefined;
  nodes: number;
  stack: string;
  clusters: string[];
  services: { name: string; desired: number }[];
  hooks: HookOptions[];
  faults: FaultRule[];
  limits: RateLimit[];
  events: TimedEvent[];
  settings: SettingsPatch;
  ecsAgentAfterMs: number | undefined;
  root: string | undefined;
  policy: string | undefined;
  spot: boolean;
  seed: number;
  forMs: number | undefined;
  json: boolean;
}

/** How long a foreign hook takes when the flag gives no duration. */
const foreignHookMs = 5_000;

/** The folder of the first node where --root names none; Git ignores it. */
export const defaultRoot = 'out/node';

type Take = (what: string) => string;

/** How each flag changes the arguments, given the value after it. */
const flags: Record<string, (args: Arguments, take: Take) => void> = {
  '--help': (args) => void (args.help = true),
  '-h': (args) => void (args.help = true),
  '--port': (args, take) => void (args.port = parseNumber('--port', take('a port'), 65_535)),
  '--region': (args, take) => void (args.region = parseRegion(take('a region'))),
  '--imds': (args, take) => void (args.imds = parseAddress('--imds', take('HOST:PORT'))),
  '--introspection': (args, take) => void (args.introspection = parseAddress('--introspection', take('HOST:PORT'))),
  '--nodes': (args, take) => void (args.nodes = parseNumber('--nodes', take('a number'), 2_000)),
  '--stack': (args, take) => void (args.stack = take('a name')),
  '--cluster': (args, take) => void args.clusters.push(take('a name')),
  '--service': (args, take) => void args.services.push(parseService(take('NAME:COUNT'))),
  '--hook': (args, take) => void args.hooks.push(parseHook(take('TRANSITION:NAME'))),
  '--foreign-hook': (args, take) => {
    const { heartbeatSeconds, ...hook } = parseHook(take('TRANSITION:NAME'));
    args.hooks.push({
      ...hook,
      completesAfterMs: heartbeatSeconds === undefined ? foreignHookMs : heartbeatSeconds * 1000,
    });
  },
  '--fault': (args, take) => void args.faults.push(parseFault(take('a rule'))),
  '--limit': (args, take) => void args.limits.push(parseLimit(take('a limit'))),
  '--at': (args, take) => {
    const [after = '', what] = take('a time and an event').trim().split(/\s+/);
    args.events.push(parseEvent(after, what ?? take('an event')));
  },
  '--set': (args, take) => setSetting(args.settings, take('AREA.NAME=VALUE')),
  '--ecs-agent-after': (args, take) => void (args.ecsAgentAfterMs = parseDuration(take('a duration'))),
  '--root': (args, take) => void (args.root = take('a folder')),
  '--policy': (args, take) => void (args.policy = take('a file')),
  '--spot': (args) => void (args.spot = true),
  '--seed': (args, take) => void (args.seed = parseNumber('--seed', take('a number'), 2 ** 32)),
  '--for': (args, take) => void (args.forMs = parseDuration(take('a duration'))),
  '--json': (args) => void (args.json = true),
};

export function parseArguments(argv: readonly string[]): Arguments {
  const args: Arguments = {
    help: false,
    port: 0,
    region: 'us-east-1',
    imds: undefined,
    introspection: undefined,
    nodes: 1,
    stack: 'demo',
    clusters: [],
    services: [],
    hooks: [],
    faults: [],
    limits: [],
    events: [],
    settings: {},
    ecsAgentAfterMs: undefined,
    root: undefined,
    policy: undefined,
    spot: false,
    seed: Date.now() % 2 ** 31,
    forMs: undefined,
    json: false,
  };
  const rest = argv.flatMap((each) => (/^--[a-z-]+=/.test(each) ? splitOnce(each) : [each]));
  for (let flag = rest.shift(); flag !== undefined; flag = rest.shift()) {
    const set = Object.hasOwn(flags, flag) ? flags[flag] : undefined;
    if (!set) throw new UsageError(`no flag "${flag}"; --help lists them`);
    set(args, (what) => rest.shift() ?? missing(flag, what));
  }
  if (args.clusters.length === 0) args.clusters.push('demo');
  if (args.ecsAgentAfterMs === undefined) args.root ??= defaultRoot;
  return args;
}

function splitOnce(text: string): string[] {
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
}

function missing(flag: string, what: string): never {
  throw new UsageError(`${flag} needs ${what}`);
}

function parseNumber(flag: string, text: string, max: number): number {
  if (/^\d+$/.test(text) && Number(text) <= max) return Number(text);
  throw new UsageError(`${flag} must be a whole number up to ${max}; found "${text}"`);
}

function parseRegion(text: string): string {
  if (/^[a-z]{2,}(-[a-z]+)+-\d+$/.test(text)) return text;
  throw new UsageError(`--region must look like eu-west-1; found "${text}"`);
}

function parseAddress(flag: string, text: string): string {
  const port = Number(/:(\d{1,5})$/.exec(text)?.[1] ?? 0);
  if (port > 0 && port <= 65_535) return text;
  throw new UsageError(`${flag} must be HOST:PORT; found "${text}"`);
}

function parseService(text: string): { name: string; desired: number } {
  const found = /^([\w-]+):(\d+)$/.exec(text);
  if (!found) throw new UsageError(`--service must be NAME:COUNT; found "${text}"`);
  return { name: found[1]!, desired: Number(found[2]) };
}

/** `opsworks.installer=failing`, `autoscaling.noActiveActionMs=2000` */
function setSetting(patch: SettingsPatch, text: string): void {
  const found = /^(\w+)\.(\w+)=(.*)$/.exec(text);
  const areas = defaultSettings as unknown as Record<string, Record<string, unknown> | undefined>;
  const [, area = '', name = '', value = ''] = found ?? [];
  const known = areas[area];
  if (!known)
    throw new UsageError(`--set ${text}: write AREA.NAME=VALUE, with AREA one of ${Object.keys(areas).join(', ')}`);
  if (!(name in known)) throw new UsageError(`--set ${text}: ${area} has ${Object.keys(known).join(', ')}`);
  const parsed = value === 'never' && name.endsWith('Ms') ? undefined : /^\d+$/.test(value) ? Number(value) : value;
  if (typeof known[name] === 'number' && typeof parsed === 'string') {
    throw new UsageError(`--set ${text}: ${area}.${name} must be a number`);
  }
  const patched = patch as Record<string, Record<string, unknown>>;
  patched[area] = { ...patched[area], [name]: parsed };
}

export const help = `A local AWS for container instances: instance metadata, EC2, Auto Scaling, ECS, OpsWorks, Systems Manager,
load balancers, CloudWatch. Prints the environment for a process on a node, then a line for each AWS call.

  npm run simulator -- [flags]

  --nodes N               instances in the Auto Scaling group ecs-nodes (1)
  --port N                the port of the AWS endpoint (any free one)
  --region REGION         (us-east-1)
  --imds HOST:PORT        where the first node's metadata service listens, for instance 169.254.169.254:80
  --introspection HOST:PORT  where its ECS agent listens (127.0.0.1:51678 if that is free)
  --cluster NAME          an ECS cluster, again for more (demo)
  --service NAME:COUNT    an ECS service in the first cluster
  --stack NAME            the OpsWorks stack's name (demo); its ids are fixed
  --root DIR              the folder of the first node (out/node): its ECS agent starts 10 s (or --ecs-agent-after)
                          after DIR/etc/ecs/ecs.config names a cluster
  --ecs-agent-after TIME  without --root: starts the ECS agent of every node this long after the start
  --hook launch:NAME[:SECONDS], terminate:NAME[:SECONDS]
                          a lifecycle hook, with its heartbeat timeout
  --foreign-hook terminate:NAME[:SECONDS]
                          a hook that the simulator completes after SECONDS (5)
  --spot                  the instances are spot instances
  --policy FILE           the IAM policy of the instances' role (everything is allowed)
  --at TIME EVENT[@NODE]  raises an event, see below
  --fault RULE            SERVICE[:OPERATION] EFFECT [xTIMES] [from NTH] [PERCENT%]
                          EFFECT: throttle, error=CODE[/STATUS], latency=500ms, hang, cut, refuse, html
  --limit RATE            SERVICE[:OPERATION] 2/s [burst 5]
  --set AREA.NAME=VALUE   a delay or a mode: opsworks.installer=failing, ssm.onlineAfterMs=never
  --for TIME              ends after this time
  --seed N                the same seed gives the same ids
  --json                  one JSON object per line

Events
${Object.entries(eventNames)
  .map(([name, what]) => `  ${name.padEnd(22)}  ${what}`)
  .join('\n')}

Examples
  npm run simulator -- --service web:2
  npm run simulator -- --hook launch:ecs-node-launch --hook terminate:ecs-node-terminate --at 30s scale-in
  npm run simulator -- --spot --at 20s spot --fault 'ecs:UpdateContainerInstancesState throttle x3'
  npm run simulator -- --nodes 10 --limit 'opsworks 2/s' --set opsworks.registersAs=never
  sudo npm run simulator -- --imds 169.254.169.254:80     # in a network namespace that has the address

Over HTTP: curl ENDPOINT/_simulator/ lists the commands.
`;
