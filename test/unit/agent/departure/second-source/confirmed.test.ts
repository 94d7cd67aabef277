import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

describe('the type Confirmed', () => {
  const product = globSync([
    '{main,lambda}.ts',
    '{agent,bootstrap,cli,commands,config,core,fleet,host,upkeep}/**/*.ts',
  ]);
  const having = (pattern: RegExp) => product.filter((file) => pattern.test(readFileSync(file, 'utf8'))).toSorted();

  it('lets only one file make the proof that two sources agree', () => {
    expect(product).toEqual(expect.arrayContaining(['main.ts', 'lambda.ts', 'cli/command.ts', 'core/confirmed.ts']));
    // The importers neither rename the type nor pass it on, so its name finds their casts.
    const importers = having(/\/confirmed(\.ts)?['"`]/);
    expect(importers).toEqual([
      'agent/departure/confirm.ts',
      'agent/departure/terminate.ts',
      'agent/joining/complete-hook.ts',
      'core/host.ts',
    ]);
    expect(having(/^import type \{ Confirmed \} from '[./core]+\/confirmed\.ts';$/m)).toEqual(importers);
    expect(having(/\/confirmed(\.ts)?['"`][^]*\/confirmed(\.ts)?['"`]/)).toEqual([]);
    expect(having(/\bConfirmed as\b|=\s*Confirmed\b|\bexport \{[^}]*\bConfirmed\b/)).toEqual([]);
    expect(having(/\bas\s[^;,)\n]*\bConfirmed\b/)).toEqual(['agent/departure/confirm.ts']);
  });

  it('lets only one file end the machine', () => {
    // `host` defines these calls. A person's `ecs-node sweep` ends dead nodes with its own call.
    const names = /\b(terminateInGroup|reportUnhealthy|terminateSelf|powerOff)\b/;
    const others = ['core/host.ts', 'core/fleet/fleet-nodes.ts', 'fleet/sweep/deeds.ts'];
    const naming = having(names).filter((file) => !file.startsWith('host/') && !others.includes(file));
    expect(naming).toEqual(['agent/departure/terminate.ts']);
    expect(having(/abandonLaunch\(/)).toEqual(['agent/departure/terminate.ts', 'agent/joining/complete-hook.ts']);
    expect(having(/cloud\.completeHook\(/)).toEqual(['agent/joining/complete-hook.ts']);
  });

  it('lets only the files of these calls end a machine through AWS or systemd', () => {
    const commands =
      /\b(TerminateInstances|StopInstances|TerminateInstanceInAutoScalingGroup|SetInstanceHealth)Command\b/;
    expect(having(commands)).toEqual([
      'host/aws/examine/ec2.ts',
      'host/aws/fleet/groups.ts',
      'host/aws/group.ts',
      'host/aws/instance.ts',
    ]);
    // `ecs-node doctor` asks whether it would be allowed.
    expect(readFileSync('host/aws/examine/ec2.ts', 'utf8').match(/new TerminateInstancesCommand\(\{[^}]*\}/g)).toEqual([
      'new TerminateInstancesCommand({ InstanceIds: [self], DryRun: true }',
    ]);
    expect(having(/['"`](poweroff|halt|shutdown|reboot|kexec)['"`]/)).toEqual(['host/systemd.ts']);
    expect(having(/\bpowerOff\(/)).toEqual(['core/host.ts', 'host/machine.ts', 'host/systemd.ts']);
  });
});
