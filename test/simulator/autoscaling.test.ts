import {
  CompleteLifecycleActionCommand,
  DescribeAutoScalingInstancesCommand,
  DescribeLifecycleHooksCommand,
  DescribeScalingActivitiesCommand,
  RecordLifecycleActionHeartbeatCommand,
  SetDesiredCapacityCommand,
  SetInstanceHealthCommand,
  SetInstanceProtectionCommand,
  TerminateInstanceInAutoScalingGroupCommand,
} from '@aws-sdk/client-auto-scaling';
import { describe, expect, it } from 'vitest';
import type { HookOptions, Simulator } from '../../simulator/simulator.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { clients, codeOf, metadata, open, quick } from './stage.ts';

const AutoScalingGroupName = 'ecs-nodes';
const launch: HookOptions = { name: 'l', transition: 'launch' };
const terminate: HookOptions = { name: 't', transition: 'terminate' };

const stateOf = ({ world }: Simulator, id: string) => world.groups.get(AutoScalingGroupName)?.members.get(id)?.state;

async function stage(hooks: HookOptions[], settings = {}) {
  const simulator = await open({
    groups: [{ name: AutoScalingGroupName, hooks }],
    settings: { ...quick, autoscaling: { ...quick.autoscaling, ...settings } },
  });
  const [instance] = await simulator.verbs.scaleTo(AutoScalingGroupName, 1);
  const { autoscaling } = clients(simulator);
  const InstanceId = instance!.id;
  const complete = (hook: string, LifecycleActionResult: 'CONTINUE' | 'ABANDON' = 'CONTINUE') =>
    autoscaling.send(
      new CompleteLifecycleActionCommand({
        AutoScalingGroupName,
        LifecycleHookName: hook,
        InstanceId,
        LifecycleActionResult,
      }),
    );
  const activities = async () =>
    (await autoscaling.send(new DescribeScalingActivitiesCommand({ AutoScalingGroupName }))).Activities ?? [];
  const reaches = (state: string) => waitFor(state, () => stateOf(simulator, InstanceId) === state);
  return { simulator, autoscaling, InstanceId, complete, activities, reaches };
}

describe('lifecycle hooks', () => {
  it('hold a launch until every one of them is completed', async () => {
    const { simulator, InstanceId, complete, reaches } = await stage([launch, { ...launch, name: 'other' }]);
    await reaches('Pending:Wait');
    await complete('l');
    expect(stateOf(simulator, InstanceId)).toBe('Pending:Wait');
    expect(await codeOf(complete('l'))).toBe('ValidationError');
    await complete('other');
    await reaches('InService');
    const { body } = await metadata(simulator.imdsEndpoint(InstanceId), 'meta-data/autoscaling/target-lifecycle-state');
    expect(body).toBe('InService');
  });

  it('with ABANDON end the instance, and the group replaces it', async () => {
    const { simulator, complete, activities, reaches, InstanceId } = await stage([launch]);
    await reaches('Pending:Wait');
    await complete('l', 'ABANDON');
    await reaches('Terminated');
    const { members } = simulator.world.groups.get(AutoScalingGroupName)!;
    await waitFor('a replacement', () => [...members.values()].some(({ state }) => state === 'Pending:Wait'));
    const list = await activities();
    expect(list.map(({ Description, StatusCode }) => `${StatusCode} ${Description}`)).toEqual([
      expect.stringMatching(/^MidLifecycleAction Launching a new EC2 instance: i-/),
      `Successful Terminating EC2 instance: ${InstanceId}`,
      expect.stringMatching(/^Cancelled Launching .* was abandoned: Lifecycle Action Completed with ABANDON Result$/),
    ]);
    expect(list[1]!.Cause).toMatch(/^At \S+Z an instance was taken out of service in response to a launch failure/);
  });

  it('are listed with their limits', async () => {
    const { autoscaling } = await stage([{ ...terminate, heartbeatSeconds: 300 }]);
    const { LifecycleHooks } = await autoscaling.send(new DescribeLifecycleHooksCommand({ AutoScalingGroupName }));
    expect(LifecycleHooks).toEqual([
      {
        LifecycleHookName: 't',
        AutoScalingGroupName,
        LifecycleTransition: 'autoscaling:EC2_INSTANCE_TERMINATING',
        HeartbeatTimeout: 300,
        GlobalTimeout: 30_000,
        DefaultResult: 'ABANDON',
      },
    ]);
  });

  it('end by their default result without a heartbeat, and last with one, up to the global limit', async () => {
    const hook = { ...terminate, heartbeatSeconds: 0.15, globalSeconds: 0.6 };
    const { autoscaling, InstanceId, reaches } = await stage([hook]);
    await reaches('InService');
    await autoscaling.send(
      new TerminateInstanceInAutoScalingGroupCommand({ InstanceId, ShouldDecrementDesiredCapacity: false }),
    );
    await reaches('Terminating:Wait');
    const start = Date.now();
    const heartbeat = new RecordLifecycleActionHeartbeatCommand({
      AutoScalingGroupName,
      LifecycleHookName: 't',
      InstanceId,
    });
    while ((await codeOf(autoscaling.send(heartbeat))) === 'ok')
      await new Promise((resolve) => setTimeout(resolve, 40));
    expect(Date.now() - start).toBeGreaterThan(500);
    await reaches('Terminated');
  });

  it('may be denied for a while after :Wait began, while IMDS already says Terminated', async () => {
    const { simulator, autoscaling, InstanceId, complete, reaches } = await stage([terminate], {
      enterWaitMs: 1_000,
      noActiveActionMs: 3_600_000,
    });
    await reaches('InService');
    await autoscaling.send(
      new TerminateInstanceInAutoScalingGroupCommand({ InstanceId, ShouldDecrementDesiredCapacity: false }),
    );
    const target = () => simulator.world.instances.get(InstanceId)!.notices.targetState;
    await waitFor('Terminated in IMDS', () => target() === 'Terminated');
    expect(stateOf(simulator, InstanceId)).toBe('Terminating');
    await reaches('Terminating:Wait');
    await expect(complete('t')).rejects.toThrow(`No active Lifecycle Action found with instance ID ${InstanceId}`);
    simulator.world.settings.autoscaling.noActiveActionMs = 0;
    await waitFor('accepted', async () => (await codeOf(complete('t'))) === 'ok');
    await reaches('Terminating:Proceed');
  });

  it('of other programs hold the instance as well', async () => {
    const foreign = { ...terminate, name: 'ecs-managed-draining-termination-hook', completesAfterMs: 2_000 };
    const { simulator, InstanceId, complete, reaches } = await stage([terminate, foreign]);
    await reaches('InService');
    simulator.verbs.terminateInGroup(InstanceId);
    await reaches('Terminating:Wait');
    await complete('t');
    expect(stateOf(simulator, InstanceId)).toBe('Terminating:Wait');
    await reaches('Terminated');
  });
});

describe('a group', () => {
  it('replaces what was terminated without decrement, and refuses to go below its minimum', async () => {
    const { simulator, autoscaling, InstanceId, reaches } = await stage([]);
    await reaches('InService');
    const group = simulator.world.groups.get(AutoScalingGroupName)!;
    group.min = 1;
    const end = (ShouldDecrementDesiredCapacity: boolean) =>
      codeOf(
        autoscaling.send(
          new TerminateInstanceInAutoScalingGroupCommand({ InstanceId, ShouldDecrementDesiredCapacity }),
        ),
      );
    expect(await end(true)).toBe('ValidationError');
    expect(await end(false)).toBe('ok');
    expect(await end(false)).toBe('ScalingActivityInProgress');
    await waitFor('replaced', () => [...group.members.values()].some(({ state }) => state === 'InService'));
    await reaches('Terminated');
    const unknown = { InstanceId: 'i-00000000000000000', ShouldDecrementDesiredCapacity: false };
    expect(await codeOf(autoscaling.send(new TerminateInstanceInAutoScalingGroupCommand(unknown)))).toBe(
      'ValidationError',
    );
  });

  it('waits for termination protection to be cleared', async () => {
    const { simulator, InstanceId, activities, reaches } = await stage([]);
    await reaches('InService');
    simulator.verbs.protect(InstanceId);
    simulator.verbs.terminateInGroup(InstanceId);
    await waitFor('a failed activity', async () =>
      (await activities()).some(({ StatusCode }) => StatusCode === 'Failed'),
    );
    expect(stateOf(simulator, InstanceId)).toBe('Terminating:Proceed');
    simulator.verbs.protect(InstanceId, false);
    await reaches('Terminated');
  });

  it('replaces unhealthy and dead instances, and takes in only unprotected ones', async () => {
    const { simulator, autoscaling, InstanceId, reaches } = await stage([]);
    await reaches('InService');
    await autoscaling.send(new SetInstanceHealthCommand({ InstanceId, HealthStatus: 'Unhealthy' }));
    await reaches('Terminated');
    const { members } = simulator.world.groups.get(AutoScalingGroupName)!;
    const inService = () => [...members.values()].find(({ state }) => state === 'InService')?.instanceId;
    await waitFor('replaced', () => inService() !== undefined);
    const second = inService()!;
    simulator.verbs.terminate(second);
    await waitFor('replaced again', () => inService() !== undefined && inService() !== second);
    const third = inService()!;
    await autoscaling.send(
      new SetInstanceProtectionCommand({ AutoScalingGroupName, InstanceIds: [third], ProtectedFromScaleIn: true }),
    );
    await autoscaling.send(new SetDesiredCapacityCommand({ AutoScalingGroupName, DesiredCapacity: 0 }));
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(stateOf(simulator, third)).toBe('InService');
  });

  it('pages its activities, newest first', async () => {
    const simulator = await open();
    await simulator.verbs.scaleTo(AutoScalingGroupName, 12);
    const { autoscaling } = clients(simulator);
    const starts: number[] = [];
    let NextToken: string | undefined;
    do {
      const page = await autoscaling.send(
        new DescribeScalingActivitiesCommand({ AutoScalingGroupName, MaxRecords: 5, ...(NextToken && { NextToken }) }),
      );
      starts.push(...page.Activities!.map(({ StartTime }) => StartTime!.getTime()));
      NextToken = page.NextToken;
    } while (NextToken);
    expect(starts).toHaveLength(12);
    expect(starts).toEqual(starts.toSorted((a, b) => b - a));
    const bad = new DescribeAutoScalingInstancesCommand({ NextToken: 'nonsense' });
    expect(await codeOf(autoscaling.send(bad))).toBe('InvalidNextToken');
  });

  it('keeps a warm pool, and takes from it first', async () => {
    const simulator = await open({ groups: [{ name: AutoScalingGroupName, warmPool: { size: 1 } }] });
    const { members } = simulator.world.groups.get(AutoScalingGroupName)!;
    await waitFor('a stopped one', () => [...members.values()].some(({ state }) => state === 'Warmed:Stopped'));
    const [warm] = [...members.keys()];
    await waitFor('it is stopped', () => simulator.world.instances.get(warm!)!.state === 'stopped');
    expect(simulator.world.instances.get(warm!)!.notices.targetState).toBe('Warmed:Stopped');
    simulator.verbs.setDesiredCapacity(AutoScalingGroupName, 1);
    await waitFor('it serves', () => stateOf(simulator, warm!) === 'InService');
  });

  it('takes a member back into its warm pool once the terminate hook is completed', async () => {
    const simulator = await open({
      groups: [
        { name: AutoScalingGroupName, hooks: [terminate], warmPool: { size: 0, state: 'Running', reuse: true } },
      ],
    });
    const [instance] = await simulator.verbs.scaleTo(AutoScalingGroupName, 1);
    await waitFor('it serves', () => stateOf(simulator, instance!.id) === 'InService');
    simulator.verbs.setDesiredCapacity(AutoScalingGroupName, 0);
    await waitFor('it waits', () => stateOf(simulator, instance!.id) === 'Warmed:Pending:Wait');
    const which = { AutoScalingGroupName, InstanceId: instance!.id, LifecycleActionResult: 'CONTINUE' };
    const { autoscaling } = clients(simulator);
    const complete = (LifecycleHookName: string) =>
      autoscaling.send(new CompleteLifecycleActionCommand({ ...which, LifecycleHookName }));
    expect(await codeOf(complete('l'))).toBe('ValidationError');
    await waitFor('the hook is known', async () => (await codeOf(complete('t'))) === 'ok');
    await waitFor('it is warm', () => stateOf(simulator, instance!.id) === 'Warmed:Running');
    expect(simulator.world.instances.get(instance!.id)!.notices.targetState).toBe('Warmed:Running');
  });
});
