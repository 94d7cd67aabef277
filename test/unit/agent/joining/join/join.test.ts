import { describe, expect, it } from 'vitest';
import { completeLaunchHook } from '../../../../../agent/joining/launch-hook.ts';
import { Unavailable } from '../../../../../core/errors.ts';
import { someHook } from '../../../../fakes/cloud/group.ts';
import { configOf, never } from '../../stage.ts';
import { minute, hour, launched } from './launched.ts';

describe('a joining node', () => {
  it('completes its launch hook once it is ACTIVE with a connected agent, and not before', async () => {
    const node = launched();
    await node.finish();
    const [completed, ...others] = node.world.calls.of('completeHook');
    expect(completed!.args).toEqual(['web', 'launch', 'CONTINUE']);
    expect(completed!.at).toBeGreaterThanOrEqual(30_000);
    expect(others).toEqual([]);
    expect(node.group.lifecycleState).toBe('InService');
    expect(node.told.join()).toContain('has not registered');
  });

  // The port was filtered on a node that worked: it was replaced again and again.
  it('relies on ECS when the introspection port is closed', async () => {
    const node = launched();
    node.world.clock.schedule(30_001, () => (node.world.localAgent = undefined));
    await node.finish();
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  it('joins within a minute behind a closed port, and leaves its ECS agent alone', async () => {
    const node = launched(configOf(), 9 * hour);
    node.world.clock.schedule(5_000, () => Object.assign(node.own, { status: 'ACTIVE', agentConnected: true }));
    await node.finish();
    const [completed] = node.world.calls.of('completeHook');
    expect(completed!.args).toEqual(['web', 'launch', 'CONTINUE']);
    expect(completed!.at).toBeLessThan(minute);
    expect(node.world.machine.restarted).toEqual([]);
  });

  // With a patience of half a minute a node that worked was given up before ECS had been asked
  // about it.
  it('asks ECS before it gives up, however short its timeout', async () => {
    const node = launched(configOf({ join: { timeoutSeconds: 30 } }), 5_000);
    node.world.clock.schedule(5_001, () => (node.world.localAgent = undefined));
    await node.finish();
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  it('gives the command of its check a PATH: without one, a script finds no program, and the node never joins', async () => {
    const node = launched(configOf({ join: { checks: [{ command: ['/usr/bin/check'] }] } }), 1_000);
    node.world.machine.programs.set('/usr/bin/check', async ({ environment }) => ({
      code: environment['PATH']?.split(':').includes('/usr/bin') ? 0 : 127,
      tail: 'curl: command not found',
    }));
    await node.finish();
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // Auto Scaling was throttled for minutes after the node was seen in service; its ECS agent died
  // in that time.
  it('is checked again when Auto Scaling could not be reached for a while', async () => {
    const node = launched();
    node.world.clock.schedule(29_000, () => node.world.calls.fails('readMembership', new Unavailable('throttled')));
    node.world.clock.schedule(2 * minute, () => (node.own.agentConnected = false));
    node.world.clock.schedule(6 * minute, () => node.world.calls.heals());
    node.world.clock.schedule(9 * minute, () => (node.own.agentConnected = true));
    await node.finish();
    expect(node.world.calls.of('completeHook')[0]!.at).toBeGreaterThanOrEqual(9 * minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // A thousand nodes launched together asked Auto Scaling 166 times each, and again for facts that
  // they knew. Ten thousand nodes each asked ECS again after every second try, which blocked the
  // nodes that had not joined.
  it('repeats no question to Auto Scaling while it is throttled, nor to ECS after a few tries', async () => {
    const node = launched(configOf(), 1_000);
    node.world.calls.fails('completeHook', new Unavailable('throttled'), 7);
    await node.finish();
    expect(node.world.calls.of('completeHook')).toHaveLength(8);
    expect(node.world.calls.of('readContainerInstance')).toHaveLength(1);
    expect(node.world.calls.of('readMembership')).toHaveLength(1);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  it('asks Auto Scaling less and less often on its way into a warm pool, where no answer gets old', async () => {
    const node = launched(configOf(), 1_000);
    node.world.calls.fails('completeHook', new Unavailable('throttled'), 5);
    const done = completeLaunchHook(node.host, node.config, never);
    await node.world.clock.finish(done, hour);
    const tries = node.world.calls.of('completeHook').map(({ at }) => at);
    expect(tries[5]! - tries[4]!).toBeGreaterThanOrEqual(15_000);
  });

  // Each of ten thousand nodes asked three questions before its first heartbeat; the hooks of many
  // had timed out by then.
  it('sends its first heartbeat before it asks for the heartbeat interval', async () => {
    const node = launched(configOf(), 2 * minute);
    node.world.calls.fails('readHooks', new Unavailable('throttled'), 1);
    await node.finish();
    const asked = node.world.calls.verbs('cloud').filter((verb) => ['readHooks', 'heartbeat'].includes(verb));
    expect(asked.slice(0, 4)).toEqual(['heartbeat', 'readHooks', 'heartbeat', 'readHooks']);
  });

  it('asks ECS less and less often while it is throttled', async () => {
    const node = launched(configOf(), 1_000);
    node.world.calls.fails('readContainerInstance', new Unavailable('throttled'), 6);
    await node.finish();
    const tries = node.world.calls.of('readContainerInstance').map(({ at }) => at);
    expect(tries[5]! - tries[4]!).toBeGreaterThanOrEqual(15_000);
  });

  it('sends no heartbeat when it joins at once', async () => {
    const node = launched(configOf(), 3_000);
    await node.finish();
    expect(node.world.calls.verbs('cloud')).toEqual(['readContainerInstance', 'readMembership', 'completeHook']);
  });

  it('keeps the hook alive meanwhile', async () => {
    const node = launched(configOf(), 10 * minute);
    for (const hook of node.group.hooks) hook.active = false;
    node.group.hooks = [someHook('launch', 'launch', { heartbeatSeconds: 30, globalSeconds: 3000 })];
    node.group.begin('launch');
    await node.finish();
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });
});
