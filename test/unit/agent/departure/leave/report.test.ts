import { describe, expect, it } from 'vitest';
import { runDeparture } from '../../../../../agent/departure/leave.ts';
import { Refused, Unavailable } from '../../../../../core/errors.ts';
import { paths } from '../../../../../core/state/state.ts';
import { configOf, never, setStage, someOrder } from '../../stage.ts';

describe('a departure', () => {
  it('continues when the registrar, the tag, the metric and the disk fail, and says so', async () => {
    const stage = setStage(configOf({ metrics: { enabled: true } }));
    stage.world.calls.fails('tagSelf', new Refused('AccessDenied'));
    stage.world.calls.fails('publish', new Unavailable('throttled'));
    stage.world.calls.fails('writeText', new Error('ENOSPC: no space left on device'));
    const deregister = () => Promise.reject(new Refused('no'));
    stage.agrees();
    const state = await stage.world.clock.finish(
      runDeparture(stage.host, stage.config, someOrder(), { deregister }, never),
    );
    expect(state.troubles.join()).toContain('registrar: no');
    expect(stage.world.instance.state).toBe('shutting-down');
  });

  it('reports cause, duration and phases in metrics', async () => {
    const stage = setStage(configOf({ metrics: { enabled: true } }));
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 60_000 });
    await stage.leaves();
    const metrics = stage.world.published.flatMap((call) => call.metrics);
    expect(metrics.find(({ name }) => name === 'Departures')).toMatchObject({ value: 1 });
    expect(metrics.find(({ name }) => name === 'DepartureDuration')).toMatchObject({
      dimensions: { ClusterName: 'demo', Cause: 'disk' },
    });
    const tasks = metrics.find(({ dimensions }) => dimensions['Phase'] === 'tasks')!;
    expect(tasks.value).toBeGreaterThanOrEqual(58);
    expect(tasks.value).toBeLessThan(70);
  });

  it('runs the executables in hooks.d with the facts and a time limit, whatever they do', async () => {
    const stage = setStage();
    const ran: string[] = [];
    for (const [name, program] of [
      ['leaving/10-hangs', () => new Promise<never>(() => {})],
      ['leaving/20-fails', () => Promise.resolve({ code: 1, tail: 'oh' })],
      ['left/10-ok', () => Promise.resolve({ code: 0, tail: '' })],
    ] as const) {
      stage.world.machine.files.set(`${paths.hooks}/${name}`, '#!/bin/sh');
      stage.world.machine.programs.set(`/${name}`, (command) => {
        ran.push(`${name} ${command.environment['ECS_NODE_CAUSE']}`);
        return program();
      });
    }
    for (const name of ['README.md', '.hidden', '30-backup~'])
      stage.world.machine.files.set(`${paths.hooks}/leaving/${name}`, 'not one');
    const state = await stage.leaves();
    expect(ran).toEqual(['leaving/10-hangs disk', 'leaving/20-fails disk', 'left/10-ok disk']);
    expect(state.phase).toBe('done');
    const told = stage.world.log
      .filter(({ message }) => message.startsWith('hook '))
      .map(({ fields }) => fields?.['hook']);
    expect(told).toEqual(ran.map((each) => each.replace(' disk', '')));
  });

  // The call that started the program hung in the kernel, and with it the whole agent.
  it('leaves out an executable in hooks.d, or a folder of them, whose file system does not answer', async () => {
    const stage = setStage();
    const { hanging, files, programs } = stage.world.machine;
    const ran: string[] = [];
    for (const name of ['leaving/10-linked', 'leaving/20-local', 'left/10-shared']) {
      files.set(`${paths.hooks}/${name}`, '#!/bin/sh');
      programs.set(`/${name}`, () => {
        ran.push(name);
        return { code: 0, tail: '' };
      });
    }
    hanging.add(`${paths.hooks}/leaving/10-linked`).add(`${paths.hooks}/left`);
    expect((await stage.leaves()).phase).toBe('done');
    expect(ran).toEqual(['leaving/20-local']);
    const told = stage.world.log.filter(({ message }) => /^hooks? (failed|not listed)$/.test(message));
    expect(told.map(({ fields }) => fields?.['error'])).toEqual([
      expect.stringMatching(/leaving\/10-linked: its file system \(nfs4 at \/mnt\/share\) does not answer/),
      expect.stringMatching(/hooks\.d\/left: its file system/),
    ]);
  });
});
