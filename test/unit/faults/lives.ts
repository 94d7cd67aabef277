/**
 * Parts of a node's life, played by the product over the fakes, with one call that always gives the
 * same answer.
 */

import type { Config } from '../../../config/config.ts';
import { exitCode, Refused } from '../../../core/errors.ts';
import { runBootstrap } from '../../../commands/node/bootstrap-command.ts';
import type { Verb } from '../../../host/aws/child/verbs.ts';
import { someBalancer } from '../../fakes/cloud/balancers.ts';
import { openFakeHost, type World } from '../../fakes/host.ts';
import { putOutside } from '../agent/joining/outside-provider.ts';
import { setStage, lazily } from '../agent/stage.ts';
import { opsworksConfig, plainConfig } from '../bootstrap/stage.ts';

export const outcomes = ['goes on', 'tries again', 'stays and tells', 'leaves', 'gives up'] as const;
export type Outcome = (typeof outcomes)[number];

export interface Fault {
  verb: Verb;
  error: Error;
}

export interface Life {
  name: string;
  /** The state that counts as "goes on" in this part. */
  goal: string;
  only?: readonly Verb[];
  /** Plays it with the fault, or without one; `called` gets the verbs of `Cloud` that it used. */
  play(fault: Fault | undefined, called?: Set<string>): Promise<Outcome>;
}

const minute = 60_000;
const hour = 60 * minute;

/** The fault lasts this long. Nothing that the node waits for takes half of it. */
const faultMs = hour;

/**
 * After that, everything must be well within this: the slowest retry comes every quarter of an
 * hour.
 */
const recoveryMs = 40 * minute;

const ends = ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff'];

/** By its own deed: a hook that times out is the group's. */
function hasEnded({ calls }: World): boolean {
  const abandoned = calls.of('completeHook').some(({ args }) => args[2] === 'ABANDON');
  return abandoned || ends.some((verb) => calls.of(verb).length > 0);
}

/** Its instance ends, or will: what it asked for has been heard. */
function isGone({ instance, machine, group }: World): boolean {
  return (
    instance.state === 'shutting-down' ||
    machine.power === 'off' ||
    group?.lifecycleState.startsWith('Terminat') === true
  );
}

function inject({ calls }: World, fault: Fault | undefined): void {
  if (fault !== undefined) calls.fails(`cloud.${fault.verb}`, fault.error);
}

function noteCalls({ calls }: World, called: Set<string> | undefined): void {
  for (const verb of calls.verbs('cloud')) called?.add(verb);
}

/** The bootstrap, run again by systemd as its unit says. */
function bootstrapLife(
  name: string,
  config: Config,
  goal = 'the ECS agent starts',
  prepare?: (world: World) => void,
): Life {
  // The node cannot be saved: its goal is to leave in good order.
  const isLost = prepare !== undefined;
  return {
    name: `bootstrap ${name}`,
    goal,
    async play(fault, called) {
      const { host, world, clock } = openFakeHost();
      world.joinGroup();
      world.systemsManager.ping = 'Online';
      prepare?.(world);
      inject(world, fault);
      const stop = new AbortController();
      let code: number | undefined;
      const supervise = async () => {
        while (code === undefined) {
          code = await runBootstrap(host, config, stop.signal).then(() => 0, exitCode);
          if (code !== 75 && code !== 70) return;
          code = undefined;
          await clock.sleep(10_000, stop.signal);
        }
      };
      const living = supervise().catch(() => {});
      await clock.run(faultMs);
      const isLeaving = isLost ? isGone(world) : hasEnded(world);
      const early = code;
      world.calls.heals();
      if (early === undefined && !isLeaving) await clock.run(recoveryMs);
      noteCalls(world, called);
      stop.abort(new Error('the life is over'));
      await clock.finish(living);
      if (isLost && early !== undefined && !isLeaving) return 'stays and tells';
      if (isLost) return isLeaving ? 'goes on' : isGone(world) ? 'tries again' : 'gives up';
      if (isLeaving) return 'leaves';
      if (early !== undefined) return early === 0 ? 'goes on' : 'stays and tells';
      if (code !== 0) return 'gives up';
      return world.machine.console.some((line) => line.includes('a person has to act'))
        ? 'stays and tells'
        : 'tries again';
    },
  };
}

/** Its first agent has joined; the next one goes on from there. */
async function joinFirst(stage: AgentStage): Promise<void> {
  const agent = stage.agent();
  await stage.world.clock.run(2 * minute);
  await agent.stop();
}

type AgentStage = ReturnType<typeof setStage>;

interface AgentLife {
  name: string;
  goal: string;
  /** From the beginning; default: when the node is in service. */
  launches?: true;
  /** The only verbs whose answers matter to it. */
  only?: readonly Verb[];
  config?: Record<string, unknown>;
  begin(stage: AgentStage): void;
  /** Reached, so that the node "goes on". */
  isDone(stage: AgentStage): boolean;
  /** The goal is the node's own end. */
  ends?: true;
}

function agentLife({ name, goal, launches, only, config = {}, begin, isDone, ends: isEnd }: AgentLife): Life {
  return {
    name,
    goal,
    ...(only !== undefined && { only }),
    async play(fault, called) {
      const stage = setStage(lazily({ events: { bus: 'default' }, ...config }));
      const { world } = stage;
      // Longer than the fault: what a hook's time-out does is not the node's doing.
      for (const hook of stage.group.hooks) Object.assign(hook, { heartbeatSeconds: 7200, globalSeconds: 172_800 });
      if (launches) begin(stage);
      else await joinFirst(stage);
      world.calls.list.length = 0;
      inject(world, fault);
      if (!launches) begin(stage);
      const agent = stage.agent();
      // A node that has ended stays so: the rest of the time would only cost time.
      const live = async (ms: number) => {
        for (let left = ms; left > 0 && !(isEnd === true && isDone(stage)); left -= minute)
          await world.clock.run(minute);
      };
      await live(faultMs);
      const isLeaving = isEnd !== true && hasEnded(world);
      const early = isDone(stage);
      world.calls.heals();
      if (!early && !isLeaving) await live(recoveryMs);
      noteCalls(world, called);
      const late = isDone(stage);
      await agent.stop();
      if (isLeaving) return 'leaves';
      if (early) return 'goes on';
      return late ? 'tries again' : 'gives up';
    },
  };
}

const targetGroup = 'arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0';

const withBalancers = { leave: { targetGroups: [targetGroup], loadBalancers: ['classic'], steadyClusterSeconds: 60 } };

function addTask({ world, own }: AgentStage): void {
  world.balancers.targetGroups.set(targetGroup, someBalancer(20_000));
  world.balancers.loadBalancers.set('classic', someBalancer(20_000));
  world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: 30_000 });
}

export const lives: readonly Life[] = [
  bootstrapLife(
    'with registrar opsworks',
    opsworksConfig({ name: '{group} {hostname}', containerEnvironment: { enabled: true } }),
  ),
  bootstrapLife('with registrar ssm', plainConfig({ registrar: 'ssm', terminationProtection: 'clear' })),
  bootstrapLife('with registrar ssm, required', plainConfig({ registrar: 'ssm', registration: { required: true } })),
  bootstrapLife(
    'that OpsWorks has given up',
    opsworksConfig(),
    'the node leaves OpsWorks, and ends itself through its group',
    (world) => {
      world.opsworks.registersAs = 'setup_failed';
    },
  ),
  agentLife({
    name: 'joining',
    goal: 'the launch hook is completed and the node is in service',
    launches: true,
    begin(stage) {
      stage.group.begin('launch');
      stage.own.status = 'REGISTERING';
      stage.own.agentConnected = false;
      const local = stage.world.localAgent;
      stage.world.localAgent = undefined;
      stage.world.clock.schedule(5 * minute, () => {
        stage.world.localAgent = local;
        Object.assign(stage.own, { status: 'ACTIVE', agentConnected: true });
      });
    },
    isDone: ({ status, group }) => status().join.state === 'joined' && group.lifecycleState === 'InService',
  }),
  agentLife({
    name: 'joining where the ECS agent never registers',
    goal: 'the node leaves after `join.timeoutSeconds`, for ECS itself says that it does not know the instance',
    launches: true,
    only: ['readContainerInstance'],
    begin(stage) {
      stage.group.begin('launch');
      const local = stage.world.localAgent;
      stage.world.localAgent = undefined;
      stage.world.cluster.instances = [];
      stage.world.clock.schedule(faultMs + minute, () => {
        stage.world.localAgent = local;
        stage.world.cluster.instances = [stage.own];
      });
    },
    isDone: ({ status, group }) => status().join.state === 'joined' && group.lifecycleState === 'InService',
  }),
  agentLife({
    name: 'in service, nothing is wrong',
    goal: 'the node stays in service',
    config: { metrics: { enabled: true }, terminationProtection: 'clear' },
    begin: () => {},
    isDone: ({ status, own, group }) =>
      status().join.state === 'joined' && own.status === 'ACTIVE' && group.lifecycleState === 'InService',
  }),
  agentLife({
    name: 'outside its capacity provider',
    goal: 'the node is ACTIVE and connected, in its provider or as before',
    only: ['readCapacityProvider', 'deregisterContainerInstance'],
    begin: putOutside,
    isDone: ({ world: { cluster, identity, machine }, status }) =>
      status().join.state === 'joined' &&
      machine.units.get('ecs.service') !== 'inactive' &&
      cluster.instances.some(
        (each) => each.ec2InstanceId === identity.instanceId && each.status === 'ACTIVE' && each.agentConnected,
      ),
  }),
  agentLife({
    name: 'a disk that stays full',
    goal: 'the node drains and ends itself through its group',
    config: withBalancers,
    begin(stage) {
      addTask(stage);
      stage.fillDisk(97);
    },
    isDone: ({ world }) => isGone(world),
    ends: true,
  }),
  agentLife({
    name: 'a disk that is freed again',
    goal: 'the node is ACTIVE again',
    config: { disk: { leave: false } },
    begin(stage) {
      stage.fillDisk(97);
      stage.world.clock.schedule(20 * minute, () => stage.fillDisk(20));
    },
    isDone: ({ own, world }) => own.status === 'ACTIVE' && !isGone(world),
  }),
  agentLife({
    name: 'a disk that stays full, in no group',
    goal: 'the node ends itself',
    begin(stage) {
      stage.world.group = undefined;
      stage.world.metadata.targetState = undefined;
      stage.fillDisk(97);
    },
    isDone: ({ world }) => isGone(world),
    ends: true,
  }),
  agentLife({
    name: 'a disk that stays full, in a group that does not terminate',
    goal: 'the node reports itself unhealthy, and its group replaces it',
    begin(stage) {
      stage.fillDisk(97);
      stage.world.calls.fails('terminateInGroup', new Refused('no', { code: 'ValidationError' }));
    },
    isDone: ({ world }) => isGone(world),
    ends: true,
  }),
  agentLife({
    name: 'an ECS agent that is dead',
    goal: 'the agent is restarted, and then the node replaced',
    begin(stage) {
      // Few enough are lost for the fault to be this node's.
      for (let others = 0; others < 6; others++) stage.world.cluster.addInstance();
      stage.world.cluster.addInstance({ agentConnected: false });
      stage.world.localAgent = undefined;
      stage.own.agentConnected = false;
    },
    isDone: ({ world }) => isGone(world),
    ends: true,
  }),
  agentLife({
    name: 'a scale-in',
    goal: 'the node drains, waits for its tasks and completes the terminate hook',
    config: withBalancers,
    begin(stage) {
      addTask(stage);
      stage.world.clock.schedule(minute, () => {
        stage.group.begin('terminate');
        stage.world.metadata.targetState = 'Terminated';
      });
    },
    isDone: ({ group }) => group.hooks.some(({ name, ended }) => name === 'terminate' && ended === 'CONTINUE'),
    ends: true,
  }),
];
