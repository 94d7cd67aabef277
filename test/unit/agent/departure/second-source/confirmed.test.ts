import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

describe('the type Confirmed', () => {
  const product = globSync('{agent,bootstrap,commands,config,core,fleet,host,upkeep}/**/*.ts');
  const having = (pattern: RegExp) => product.filter((file) => pattern.test(readFileSync(file, 'utf8'))).toSorted();

  it('lets only one file make the proof that two sources agree', () => {
    expect(having(/as (unknown as )?Confirmed\b/)).toEqual(['agent/departure/confirm.ts']);
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
});
