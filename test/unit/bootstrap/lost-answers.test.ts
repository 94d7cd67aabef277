import { expect, test, vi } from 'vitest';
import { runBootstrap } from '../../../commands/node/bootstrap-command.ts';
import { StepError, Unavailable, exitCode } from '../../../core/errors.ts';
import type { Host } from '../../../core/host.ts';
import { someHook } from '../../fakes/cloud/group.ts';
import { openFakeHost } from '../../fakes/host.ts';
import { seeded } from '../../fakes/random.ts';
import { opsworksConfig, plainConfig, setStage, signal } from './stage.ts';

/** The metadata service shows no role for `ms`. Without credentials, no call reaches AWS. */
function withoutRole(host: Host, ms: number): Host {
  const { cloud, metadata, clock } = host;
  const until = clock.uptime() + ms;
  const isHidden = () => clock.uptime() < until;
  const hide = <T extends { role?: string }>(identity: T): T => {
    const { role: _, ...rest } = identity;
    return rest as T;
  };
  return {
    ...host,
    identity: isHidden() ? hide(host.identity) : host.identity,
    metadata: {
      ...metadata,
      readIdentity: async (...args) =>
        isHidden() ? hide(await metadata.readIdentity(...args)) : metadata.readIdentity(...args),
    },
    cloud: {
      ...cloud,
      async readTerminationProtection(...args) {
        if (isHidden()) throw new Unavailable('no credentials: this instance has no instance profile');
        return cloud.readTerminationProtection(...args);
      },
    },
  };
}

/** OpsWorks lists no stack, or no layer, of that name for `ms`. */
const without =
  (verb: 'readStack' | 'readLayer') =>
  (host: Host, ms: number): Host => {
    const { cloud, clock } = host;
    const until = clock.uptime() + ms;
    const read = cloud[verb] as (...args: unknown[]) => Promise<unknown>;
    const late = async (...args: unknown[]) => (clock.uptime() < until ? undefined : read(...args));
    return { ...host, cloud: { ...cloud, [verb]: late } };
  };

// Exit 78: systemd starts neither the bootstrap again, nor ecs, nor the agent. A new node loses its
// launch hook, and a node that reboots never returns to service.
test.each([
  ['the metadata service shows no role for 70 s', plainConfig(), withoutRole, 70_000],
  ['the metadata service shows its role (control)', plainConfig(), withoutRole, 0],
  ['OpsWorks shows no stack for 75 s', opsworksConfig(), without('readStack'), 75_000],
  ['OpsWorks shows its stack (control)', opsworksConfig(), without('readStack'), 0],
  ['OpsWorks shows no layer for 75 s', opsworksConfig(), without('readLayer'), 75_000],
] as const)('a bootstrap is tried until it works when %s', async (_what, config, lying, ms) => {
  const { host, world, clock } = openFakeHost({ identity: { role: 'node' } });
  world.joinGroup();
  const ended = runBootstrap(lying(host, ms), config, signal).then(() => 0, exitCode);
  // 0: done. 75: systemd starts it again.
  expect([0, 75]).toContain(await clock.finish(ended));
});

test('a stack that does not exist is named on the console at once, and keeps the launch hook alive', async () => {
  vi.spyOn(Math, 'random').mockImplementation(seeded());
  const { host, world, clock } = openFakeHost();
  const group = world.joinGroup();
  group.hooks.push(someHook('launch', 'launch', { heartbeatSeconds: 120 }));
  group.begin('launch');
  const config = opsworksConfig({
    opsworks: { stack: 'nowhere', layer: 'ecs' },
    autoScaling: { launchHook: 'launch' },
  });
  const stop = new AbortController();
  const living = runBootstrap(host, config, stop.signal).catch((error: unknown) => error);
  await clock.run(2 * 60_000);
  expect(world.machine.console.join('\n')).toMatch(
    /a person has to act: preflight: opsworks\.stack: there is no stack with the id or name "nowhere"/,
  );
  await clock.run(2 * 3_600_000);
  expect(group.hooks[0]!.active).toBe(true);
  expect(world.calls.of('readStack').length).toBeLessThan(90);
  stop.abort(new Error('enough'));
  await clock.finish(living);
});

test('a metadata service that is silent is not taken for an instance without a profile', async () => {
  const stage = setStage(plainConfig());
  delete stage.host.identity.role;
  stage.world.calls.fails('readIdentity', new Unavailable('timeout'));
  const error = await stage.fail();
  expect(error).toBeInstanceOf(StepError);
  expect(error.cause).toBeInstanceOf(Unavailable);
  expect(error.message).not.toContain('instance profile');
});

// Exit 78: one identity document without its zone kept the node from ECS for ever.
test.each([
  ['the identity document lacks the zone', 'ecs-{zone}', { zone: '' }, 'ip-10-0-0-7'],
  ['the identity document has an odd zone', 'ecs-{zone}', { zone: 'a_b' }, 'ip-10-0-0-7'],
  ['the group has odd letters in its name', 'ecs-{group}', {}, 'ip-10-0-0-7'],
  ['the identity document names the zone (control)', 'ecs-{zone}', {}, 'ecs-us-east-1a'],
])("a node takes EC2's host name, and boots, where %s", async (_what, hostname, identity, expected) => {
  const { world, boot } = setStage(plainConfig({ hostname }), { identity });
  world.joinGroup('web_1');
  expect(await boot()).toMatchObject({ outcome: 'done', hostname: expected });
  const warned = world.log.filter(({ level, message }) => level === 'warn' && message.includes('host name'));
  expect(warned.length > 0).toBe(expected === 'ip-10-0-0-7');
});

// OpsWorks keeps the name for good, so another name is no way out.
test.each([
  ['is tried again when the identity document lacks the zone', 'ecs-{zone}', 75],
  ['ends for an operator when its own text is wrong (control)', 'ecs_{zone}', 78],
  ['ends for an operator when no value could make it valid (control)', '{instanceType}', 78],
])('the template of a host name that OpsWorks keeps %s', async (_what, hostname, code) => {
  const { fail } = setStage(opsworksConfig({ hostname }), { identity: { zone: '', instanceType: '' } });
  const error = await fail();
  expect(exitCode(error)).toBe(code);
  expect(error.message).toContain(`hostname: "${hostname}" gives "`);
});
