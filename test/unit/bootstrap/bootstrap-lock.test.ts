import { describe, expect, test } from 'vitest';
import { withBootstrapLock } from '../../../bootstrap/bootstrap-lock.ts';
import { runBootstrap } from '../../../commands/node/bootstrap-command.ts';
import { ConfigError, Refused, Unavailable, exitCode } from '../../../core/errors.ts';
import type { Host } from '../../../core/host.ts';
import { paths } from '../../../core/state/state.ts';
import { openFakeHost, type World } from '../../fakes/host.ts';
import { openMachine } from '../../fakes/machine.ts';
import { opsworksConfig, signal } from './stage.ts';

const waitMs = 600_000;

/** Two processes of one machine; the second has the higher pid. */
function openTwo() {
  const { host: first, world, clock } = openFakeHost();
  const second: Host = { ...first, machine: openMachine(world.machine) };
  return { first, second, world, clock };
}

function entries({ machine }: World): string[] {
  return [...machine.files.keys()].filter((path) => path.startsWith(`${paths.bootstraps}/`));
}

const warnings = (world: World) => world.log.filter(({ level }) => level === 'warn').map(({ message }) => message);

describe('two bootstraps', () => {
  // Both ran the installer of OpsWorks, and the stack had two records of one instance.
  test.each([
    ['the first', (host: Host, other: Host) => [host, other] as const],
    ['the second', (host: Host, other: Host) => [other, host] as const],
  ])('started at once run the installer once: %s runs it, and the other one finds all done', async (_, order) => {
    const { first, second, world, clock } = openTwo();
    const [one, two] = order(first, second);
    const config = opsworksConfig();
    let running = 0;
    let runs = 0;
    const [name, installer] = [...world.machine.programs].find(([path]) => path.endsWith('boot-registration'))!;
    world.machine.programs.set(name, async (...args) => {
      [running, runs] = [running + 1, runs + 1];
      expect(running).toBe(1);
      await clock.sleep(120_000, signal);
      running -= 1;
      return installer(...args);
    });
    await clock.finish(Promise.all([runBootstrap(one, config, signal), runBootstrap(two, config, signal)]));
    expect(runs).toBe(1);
    expect(world.opsworks.records).toHaveLength(1);
    expect(entries(world)).toEqual([]);
    expect(warnings(world)).toContain('waiting for another bootstrap of this node to end');
  });

  test('never run at the same time, in whatever order they start', async () => {
    for (const lateMs of [0, 1, 1_999, 2_000, 2_001, 9_000]) {
      for (const isSwapped of [false, true]) {
        const { first, second, world, clock } = openTwo();
        let running = 0;
        const work = async () => {
          expect(++running).toBe(1);
          await clock.sleep(10_000, signal);
          running -= 1;
        };
        const late = async () => {
          await clock.sleep(lateMs, signal);
          await withBootstrapLock(isSwapped ? first : second, waitMs, signal, work);
        };
        const early = withBootstrapLock(isSwapped ? second : first, waitMs, signal, work);
        await clock.finish(Promise.all([early, late()]));
        expect(entries(world)).toEqual([]);
      }
    }
  });

  test('time out in turn: the waiting one names the pid of the other and the remedy, exit code 75', async () => {
    const { first, second, world, clock } = openTwo();
    const { pid } = (await first.machine.readProcess())!;
    void withBootstrapLock(first, waitMs, signal, () => clock.sleep(24 * 3_600_000, signal));
    await clock.run(1_000);
    const error = await clock.finish(
      withBootstrapLock(second, waitMs, signal, async () => 'ran').catch((thrown: unknown) => thrown),
    );
    expect(exitCode(error)).toBe(75);
    expect(String(error)).toContain(
      `(pid ${pid}) still runs after 600 s: look at it with "ps -fp ${pid}", and end it with "kill ${pid}"`,
    );
    expect(entries(world)).toHaveLength(1);
  });

  test("may run by hand while systemd's waits for a person", async () => {
    const { first, second, world, clock } = openTwo();
    world.calls.fails('assign', new Refused('no', { code: 'AccessDeniedException' }), 99_999);
    const waiting = runBootstrap(first, opsworksConfig(), signal);
    await clock.run(1_800_000);
    world.calls.heals();
    const before = clock.uptime();
    await clock.finish(runBootstrap(second, opsworksConfig(), signal));
    expect(clock.uptime() - before).toBeLessThan(60_000);
    await clock.finish(waiting);
  });

  test('leave nothing behind when the waiting one is stopped', async () => {
    const { first, second, world, clock } = openTwo();
    void withBootstrapLock(first, waitMs, signal, () => clock.sleep(3_600_000, signal));
    await clock.run(1_000);
    const stop = new AbortController();
    const waiting = withBootstrapLock(second, waitMs, stop.signal, async () => 'ran').catch(
      (thrown: unknown) => thrown,
    );
    await clock.run(10_000);
    stop.abort(new Error('SIGTERM'));
    expect(await clock.finish(waiting)).toMatchObject({ message: 'SIGTERM' });
    expect(entries(world)).toHaveLength(1);
  });
});

describe('the bootstrap lock', () => {
  test('of a killed bootstrap does not stop the next one', async () => {
    const { host, world, clock } = openFakeHost();
    void withBootstrapLock(host, waitMs, signal, () => clock.sleep(24 * 3_600_000, signal));
    await clock.run(1_000);
    expect(entries(world)).toHaveLength(1);
    const before = clock.uptime();
    expect(await clock.finish(withBootstrapLock(world.restart(), waitMs, signal, async () => 'ran'))).toBe('ran');
    expect(clock.uptime()).toBe(before);
    expect(entries(world)).toEqual([]);
  });

  test.each([
    ['a later process with its pid', (bootId: string, pid: number) => `${bootId}.${pid}.1`],
    ['an earlier boot', (_: string, pid: number) => `another-boot.${pid}.${pid * 10}`],
    ['somebody else', () => 'README'],
  ])('ignores a file of %s', async (_, nameOf) => {
    const { first, second, world, clock } = openTwo();
    const { pid } = (await first.machine.readProcess())!;
    world.machine.files.set(`${paths.bootstraps}/${nameOf(world.machine.bootId, pid)}`, '');
    const before = clock.uptime();
    expect(await clock.finish(withBootstrapLock(second, waitMs, signal, async () => 'ran'))).toBe('ran');
    expect(clock.uptime()).toBe(before);
  });

  test.each(['writeText', 'list', 'remove', 'readProcess', 'readBootId'])(
    'that does not work (%s) is reported and stops no bootstrap',
    async (verb) => {
      const { host, world, clock } = openFakeHost();
      world.calls.fails(verb, new ConfigError([{ path: paths.bootstraps, problem: 'is not a folder' }]), 99);
      expect(await clock.finish(withBootstrapLock(host, waitMs, signal, async () => 'ran'))).toBe('ran');
      expect(warnings(world)).toContain('bootstrap lock does not work');
    },
  );

  test('is released before an error of the work is thrown on', async () => {
    const { host, world, clock } = openFakeHost();
    const failure = new Unavailable('throttled');
    const work = async () => Promise.reject(failure);
    const error = await clock.finish(withBootstrapLock(host, waitMs, signal, work).catch((thrown: unknown) => thrown));
    expect(error).toBe(failure);
    expect(entries(world)).toEqual([]);
  });
});
