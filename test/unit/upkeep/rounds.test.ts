import { describe, expect, it } from 'vitest';
import { ConfigError, messageOf, Refused, Unavailable } from '../../../core/errors.ts';
import { renderStatus } from '../../../commands/status/render-status.ts';
import type { Chore } from '../../../upkeep/chore.ts';
import { lazily, setStage } from '../agent/stage.ts';

// Hours and hundreds of pulls pass in seconds, but not on a machine that does five other things.

const minute = 60_000;
const hour = 60 * minute;

function choreThat(run: Chore['run'], more: Partial<Chore> = {}): Chore {
  return { name: 'ports', everyMs: 5 * minute, deadlineMs: 30_000, run, ...more };
}

/** An agent with these chores, on a node in service. */
function withChores(...chores: Chore[]) {
  return withChoresIn(() => {}, ...chores);
}

function withChoresIn(prepare: (stage: ReturnType<typeof setStage>) => void, ...chores: Chore[]) {
  const stage = setStage(lazily());
  prepare(stage);
  const agent = stage.agent(stage.host, { chores });
  const warnings = () => stage.world.log.filter(({ message }) => message === 'chore failed');
  return { stage, agent, warnings, run: (ms: number) => stage.world.clock.run(ms) };
}

describe('a chore', () => {
  it('runs on its interval, never later, and soon after the start', async () => {
    const times: number[] = [];
    const { agent, run } = withChores(choreThat(async (host) => (times.push(host.clock.uptime()), 'unchanged')));
    await run(hour);
    expect(times[0]).toBeLessThan(12_000);
    const pauses = times.slice(1).map((at, index) => at - times[index]!);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(5 * minute);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(4 * minute);
    expect(new Set(pauses).size).toBeGreaterThan(1);
    await agent.stop();
  });

  it('is reported once when it fails, is shown in the status, and never ends the node', async () => {
    for (const error of [new Unavailable('silent'), new Refused('no'), new ConfigError([]), new TypeError('a bug')]) {
      let isBroken = true;
      const { stage, agent, run, warnings } = withChores(
        choreThat(async () => {
          if (isBroken) throw error;
          return 'changed';
        }),
      );
      await run(hour);
      expect(warnings()).toHaveLength(1);
      expect(stage.status().chores).toMatchObject({ ports: { outcome: 'failed', error: messageOf(error) } });
      const status = { agent: stage.status(), remarks: [] };
      expect(renderStatus(status, stage.world.clock.now())).toMatch(/ports +failed .*since \d+ min ago/);
      expect(stage.deeds()).toEqual([]);
      isBroken = false;
      await run(10 * minute);
      expect(stage.status().chores?.['ports']).not.toHaveProperty('error');
      expect(renderStatus({ agent: stage.status(), remarks: [] }, stage.world.clock.now())).toMatch(/ports +changed/);
      expect(stage.world.log.some(({ message }) => message === 'chore works again')).toBe(true);
      await agent.stop();
    }
  });

  it('is counted for an alarm while it fails, and not at all without chores', async () => {
    const counted = (stage: ReturnType<typeof setStage>) =>
      stage.world.published.map(({ metrics }) => metrics.find(({ name }) => name === 'UpkeepFailing')?.value);
    let isBroken = true;
    const chore = choreThat(async () => {
      if (isBroken) throw new Unavailable('silent');
      return 'unchanged';
    });
    const stage = setStage(lazily({ metrics: { enabled: true, everySeconds: 60 } }));
    const agent = stage.agent(stage.host, { chores: [chore] });
    await stage.world.clock.run(10 * minute);
    isBroken = false;
    await stage.world.clock.run(10 * minute);
    expect([counted(stage).at(5), counted(stage).at(-1)]).toEqual([1, 0]);
    await agent.stop();
    // The status no longer shows a chore that is no longer configured.
    const idle = stage.agent(stage.world.restart());
    await stage.world.clock.run(10 * minute);
    expect(stage.status().chores).toEqual({});
    expect(counted(stage).at(-1)).toBeUndefined();
    await idle.stop();
  });

  it('delays no other chore when it hangs', async () => {
    let others = 0;
    const hangs = choreThat(() => new Promise(() => {}), { name: 'refresh' });
    const { stage, agent, run } = withChores(
      hangs,
      choreThat(async () => (others++, 'unchanged')),
    );
    await run(hour);
    expect(others).toBeGreaterThan(10);
    expect(stage.status().chores).toMatchObject({
      refresh: { outcome: 'failed', error: expect.stringMatching(/no answer within/) },
    });
    await agent.stop();
  });

  it('waits for service where that is needed, and is interrupted when the node leaves', async () => {
    let runs = 0;
    let wasCutOff = false;
    const waits = choreThat(
      async (host, signal) => {
        runs++;
        if (runs > 1) await host.clock.sleep(hour, signal).catch(() => (wasCutOff = true));
        return 'unchanged';
      },
      { afterJoin: true, deadlineMs: 2 * hour },
    );
    const { stage, agent, run } = withChoresIn(({ own }) => (own.status = 'REGISTERING'), waits);
    await run(2 * minute);
    expect(runs).toBe(0);
    stage.own.status = 'ACTIVE';
    await run(minute);
    expect(runs).toBe(1);
    await run(20 * minute);
    expect(runs).toBe(2);
    stage.world.metadata.spotNotice = { action: 'terminate', at: stage.world.clock.now() + 2 * minute };
    await run(minute);
    expect(wasCutOff).toBe(true);
    await run(hour);
    expect(runs).toBe(2);
    expect(stage.status().chores?.['ports']?.outcome).toBe('unchanged');
    await agent.stop();
  });
});
