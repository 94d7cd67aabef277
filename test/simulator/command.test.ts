import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parseArguments } from '../../simulator/command/arguments.ts';
import { parseFault, parseLimit } from '../../simulator/command/words.ts';

const run = promisify(execFile);

describe('the command line', () => {
  it('reads faults, limits, hooks and events', () => {
    expect(parseFault('ecs:UpdateContainerInstancesState throttle x3')).toEqual({
      service: 'ecs',
      operation: 'UpdateContainerInstancesState',
      times: 3,
      effect: { kind: 'throttle' },
    });
    expect(parseFault('any latency=1.5s from 2 25%')).toEqual({
      nth: 2,
      probability: 0.25,
      effect: { kind: 'latency', ms: 1500 },
    });
    expect(parseLimit('opsworks 2/s burst 5')).toEqual({ service: 'opsworks', perSecond: 2, burst: 5 });
    const args = parseArguments(
      [
        '--at',
        '20s',
        'spot:stop@2',
        '--at=1m rebalance',
        '--hook',
        'launch:l:60',
        '--foreign-hook',
        'terminate:f:2',
      ].concat(['--set', 'opsworks.protectAfterMs=never']),
    );
    expect(args.events).toEqual([
      { afterMs: 20_000, name: 'spot', value: 'stop', node: 2 },
      { afterMs: 60_000, name: 'rebalance', value: undefined, node: 1 },
    ]);
    expect(args.hooks).toEqual([
      { name: 'l', transition: 'launch', heartbeatSeconds: 60 },
      { name: 'f', transition: 'terminate', completesAfterMs: 2_000 },
    ]);
    expect(args.settings).toEqual({ opsworks: { protectAfterMs: undefined } });
  });

  const wrong: [string[], string][] = [
    [['--nodes', 'many'], '--nodes must be a whole number'],
    [['--nodes'], '--nodes needs a number'],
    [['--fault', 'ecz throttle'], 'no service "ecz"'],
    [['--fault', 'ecs explode'], 'no effect "explode"'],
    [['--at', '5s', 'flood'], 'no event "flood"'],
    [['--at', 'soon', 'spot'], 'not a duration: "soon"'],
    [['--at', '5s', 'spot:hibrnate'], 'write spot, spot:terminate, spot:stop, spot:hibernate'],
    [['--at', '5s', 'maintenance:reboot'], 'maintenance:system-reboot'],
    [['--at', '5s', 'rebalance:now'], 'write rebalance'],
    [['--hook', 'terminate'], 'write launch:NAME or terminate:NAME'],
    [['--set', 'ecs.nope=1'], 'ecs has registerMs'],
    [['--set', 'ecs.registerMs=fast'], 'ecs.registerMs must be a number'],
    [['--region', 'mars'], '--region must look like'],
    [['--bogus'], 'no flag "--bogus"'],
  ];
  for (const [argv, words] of wrong) {
    it(`refuses ${argv.join(' ')}`, () => expect(() => parseArguments(argv)).toThrow(words));
  }

  it('starts, prints the environment and ends by itself', async () => {
    const { stdout } = await run(process.execPath, ['simulator/cli.ts', '--for', '300ms', '--region', 'eu-west-1']);
    expect(stdout).toMatch(/^export AWS_ENDPOINT_URL=http:\/\/127\.0\.0\.1:\d+$/m);
    expect(stdout).toMatch(/^export AWS_EC2_METADATA_SERVICE_ENDPOINT=http:\/\/127\.[\d.]+:\d+$/m);
    expect(stdout).toMatch(/^# Node 1 is i-0[0-9a-f]{16};/m);
    expect(stdout).toMatch(/^# +dist\/ecs-node bootstrap --cluster demo --root out\/node$/m);
    expect(stdout).toMatch(/^# +dist\/ecs-node agent --root out\/node$/m);
    expect(stdout).toMatch(/^# +dist\/ecs-node fleet --cluster demo$/m);
    await expect(run(process.execPath, ['simulator/cli.ts', '--bogus'])).rejects.toMatchObject({ code: 64 });
  });
});
