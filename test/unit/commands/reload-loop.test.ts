import { describe, expect, it } from 'vitest';
import { runWithReload } from '../../../commands/node/reload-loop.ts';
import type { Effective } from '../../../commands/node/effective.ts';
import { renderStatus } from '../../../commands/status/render-status.ts';
import type { Config } from '../../../config/config.ts';
import { ConfigError, Unavailable } from '../../../core/errors.ts';
import type { RefreshResult } from '../../../commands/refresh.ts';
import { configOf, setStage } from '../agent/stage.ts';

const minute = 60_000;

/** A node in service whose agent takes over what `wants` says. */
async function inService(first: Record<string, unknown> = {}, booted?: Record<string, unknown>) {
  const stage = setStage(configOf(first));
  const { world, host } = stage;
  let effective: Effective = { config: stage.config, revision: 'none' };
  const start = { ...effective, ...(booted !== undefined && { booted: configOf(booted) }) };
  let problem: Error | undefined;
  let reload = () => {};
  let round: RefreshResult = { outcome: 'unchanged', revision: 'none' };
  const opened: Config[] = [];
  const stop = new AbortController();
  const done = runWithReload(
    {
      open(config) {
        opened.push(config);
        // The stage counts `close` as leaving the registrar. An agent that is replaced only closes.
        return { ...host, cloud: { ...host.cloud, close: async () => {} } };
      },
      async readEffective() {
        if (problem !== undefined) throw problem;
        return effective;
      },
      pull: async () => round,
      onReload: (listener) => void (reload = listener),
      options: () => ({ deregister: stage.deregister }),
    },
    start,
    stop.signal,
  );
  done.catch(() => {});
  await world.clock.run(minute);
  return {
    stage,
    opened,
    done,
    run: (ms: number) => world.clock.run(ms),
    logged: (message: string) => world.log.filter((entry) => entry.message === message).map(({ fields }) => fields),
    reload: () => reload(),
    wants(more: Record<string, unknown>, revision = 'none') {
      effective = { config: configOf(more), revision };
    },
    /** A tag is missing, and still counts. */
    lacksTag: (lookAgainMs: number) => void (effective = { ...effective, lookAgainMs }),
    breaks: (error: Error | undefined) => (problem = error),
    pulls: (next: RefreshResult) => (round = next),
    async stop() {
      stop.abort(new Error('told to stop'));
      await world.clock.finish(
        done.catch(() => {}),
        minute,
      );
    },
  };
}

describe('a changed configuration', () => {
  it('is taken over without a restart, and each setting is reported with its old value', async () => {
    const node = await inService();
    node.wants({ disk: { checkSeconds: 600 }, spot: { action: 'log' } });
    node.reload();
    await node.run(minute);
    expect(node.opened.at(-1)).toMatchObject({ disk: { checkSeconds: 600 }, spot: { action: 'log' } });
    expect(node.logged('setting changed')).toEqual([
      { setting: 'disk.checkSeconds', from: 60, to: 600 },
      { setting: 'spot.action', from: 'leave', to: 'log' },
    ]);
    const status = { agent: node.stage.status(), remarks: [] };
    expect(renderStatus(status, node.stage.world.clock.now())).toMatch(
      /Settings +taken over .*: disk.checkSeconds, spot.action\n/,
    );
    // The node stays in service: it neither joins again nor leaves.
    expect(node.stage.deeds()).toEqual([]);
    expect(node.logged('joined')).toHaveLength(1);
    await node.stop();
  });

  it('with the same values restarts nothing', async () => {
    const node = await inService();
    node.reload();
    await node.run(minute);
    expect(node.opened).toHaveLength(1);
    expect(node.logged('configuration unchanged')).toHaveLength(1);
    await node.stop();
  });

  // A person removes a tag and reloads once.
  it.each([
    ['which can be read', undefined, 2],
    ['also after one that could not be read', new Unavailable('exit code 75'), 2],
    ['not after a fault (control)', new ConfigError([{ path: 'cluster', problem: 'missing' }]), 1],
  ])('is looked for again while a tag is missing that still counts, %s', async (_, error, opened) => {
    const node = await inService();
    node.lacksTag(75_000);
    node.reload();
    await node.run(10_000);
    node.wants({ disk: { checks: 5 } });
    node.breaks(error);
    await node.run(64_000);
    expect(node.opened).toHaveLength(1);
    await node.run(2_000);
    node.breaks(undefined);
    await node.run(3 * minute);
    expect(node.opened).toHaveLength(opened);
    await node.stop();
  });

  it('is looked for once where no tag is missing', async () => {
    const node = await inService();
    node.reload();
    await node.run(10 * minute);
    expect(node.logged('configuration unchanged')).toHaveLength(1);
    await node.stop();
  });

  it('with a fault leaves the old one in force, and is reported', async () => {
    const node = await inService();
    node.breaks(new ConfigError([{ path: 'disk.cheks', problem: 'unknown setting' }]));
    node.reload();
    await node.run(minute);
    expect(node.opened).toHaveLength(1);
    expect(node.stage.status().lastError).toMatchObject({
      what: 'configuration',
      error: expect.stringMatching(/unknown setting/),
    });
    node.breaks(undefined);
    node.wants({ disk: { checks: 5 } });
    node.reload();
    await node.run(minute);
    expect(node.opened).toHaveLength(2);
    await node.stop();
  });

  it('is sent to the team when it is refused, once for each fault', async () => {
    const node = await inService({ events: { bus: 'default' } });
    const fault = (problem: string) => {
      const cause = new Error(`disk.checks: ${problem}`);
      node.breaks(new ConfigError([{ path: 'configuration', problem: 'see the log' }], { cause }));
      node.reload();
      return node.run(minute);
    };
    await fault('too many');
    await fault('too many');
    await fault('too few');
    node.breaks(undefined);
    const told = node.stage.world.events.filter(({ type }) => type === 'configuration-refused');
    expect(told.map(({ detail }) => detail['reason'])).toEqual(['disk.checks: too many', 'disk.checks: too few']);
    await node.stop();
  });

  it('waits until a departure is over, and the departure goes on meanwhile', async () => {
    const node = await inService({ leave: { drainSeconds: 900 } });
    const { stage } = node;
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: 20 * minute });
    stage.world.metadata.targetState = 'Terminated';
    stage.group.begin('terminate');
    await node.run(minute);
    expect(stage.own.status).toBe('DRAINING');
    node.wants({ leave: { drainSeconds: 30 } });
    node.reload();
    await node.run(2 * minute);
    expect(node.opened).toHaveLength(1);
    await stage.world.clock.finish(node.done, 60 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'done' });
  });

  it('keeps the identity of the node until the next boot, and names the settings that wait', async () => {
    const node = await inService();
    node.wants({ cluster: 'other', ecs: { settings: { ECS_ENGINE_AUTH_DATA: 'secret' } }, disk: { checks: 4 } });
    node.reload();
    await node.run(minute);
    expect(node.opened.at(-1)).toMatchObject({ cluster: 'demo', disk: { checks: 4 } });
    const status = renderStatus({ agent: node.stage.status(), remarks: [] }, node.stage.world.clock.now());
    expect(status).toMatch(/wait for the next boot.*: cluster, ecs.settings.ECS_ENGINE_AUTH_DATA\n/);
    expect(JSON.stringify(node.stage.world.log)).not.toContain('secret');
    await node.stop();
  });

  // The edited cluster counted when the agent restarted: the other cluster had no record of the
  // node, which ended itself with running tasks.
  it('waits for the next boot also when the agent restarts meanwhile', async () => {
    const node = await inService({ cluster: 'other', registrar: 'ssm', disk: { checks: 4 } }, { cluster: 'demo' });
    expect(node.opened.at(-1)).toMatchObject({ cluster: 'demo', registrar: 'none', disk: { checks: 4 } });
    const status = renderStatus({ agent: node.stage.status(), remarks: [] }, node.stage.world.clock.now());
    expect(status).toMatch(/wait for the next boot.*: cluster, registrar\n/);
    expect(node.logged('settings wait for the next boot')).toEqual([{ settings: ['cluster', 'registrar'] }]);
    node.wants({ cluster: 'other', disk: { checks: 5 } });
    node.reload();
    await node.run(minute);
    expect(node.opened.at(-1)).toMatchObject({ cluster: 'demo', disk: { checks: 5 } });
    await node.stop();
  });

  it('from a pulled document is taken over as soon as it differs, also when a crash had hidden the change', async () => {
    const refresh = { refresh: { source: 'ssm:/ecs/web' } };
    const node = await inService(refresh);
    // An earlier round wrote this before it was killed, so the next one finds nothing to change.
    node.pulls({ outcome: 'unchanged', revision: 'newer' });
    node.wants({ ...refresh, disk: { checks: 4 } }, 'newer');
    await node.run(6 * minute);
    expect(node.opened.at(-1)).toMatchObject({ disk: { checks: 4 } });
    await node.run(60 * minute);
    expect(node.opened).toHaveLength(2);
    await node.stop();
  });

  it('from a refused document is shown as the fault of the refresh, and reported once', async () => {
    const node = await inService({ refresh: { source: 'ssm:/ecs/web' } });
    node.pulls({ outcome: 'failed', revision: 'none', error: 'disk.cheks: unknown setting (from ssm:/ecs/web/a:1)' });
    await node.run(60 * minute);
    expect(node.opened).toHaveLength(1);
    expect(node.logged('chore failed')).toHaveLength(1);
    expect(node.stage.status().chores?.['refresh']).toMatchObject({
      outcome: 'failed',
      error: expect.stringMatching(/ssm:\/ecs\/web\/a:1/),
    });
    await node.stop();
  });

  it('from a refused document is sent to the team once, and a silent SSM is not', async () => {
    const node = await inService({ refresh: { source: 'ssm:/ecs/web' }, events: { bus: 'default' } });
    const failed = { outcome: 'failed', revision: 'none' } as const;
    node.pulls({ ...failed, error: 'ssm:GetParametersByPath: throttled' });
    await node.run(10 * minute);
    node.pulls({ ...failed, error: 'disk.cheks: unknown setting', isRefused: true });
    await node.run(60 * minute);
    const told = node.stage.world.events.filter(({ type }) => type === 'configuration-refused');
    expect(told.map(({ detail }) => detail['reason'])).toEqual(['disk.cheks: unknown setting']);
    await node.stop();
  });
});
