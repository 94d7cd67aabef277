import { describe, expect, it } from 'vitest';
import { TakenBack } from '../../../../../agent/departure/confirm.ts';
import { Refused } from '../../../../../core/errors.ts';
import { paths } from '../../../../../core/state/state.ts';
import { configOf, setStage, type Stage } from '../../stage.ts';

const denied = new Refused('not authorized', { code: 'AccessDenied' });

/** Calls `act` once, when the node is about to end itself. */
function atTheEnd(stage: Stage, act: () => void): void {
  const { calls, machine } = stage.world;
  calls.onCall = () => {
    if (!machine.files.has(paths.departure) || stage.departure().phase !== 'terminate') return;
    calls.onCall = undefined;
    act();
  };
}

describe('the termination', () => {
  it('goes through the group also for a role that may not read the state in the group', async () => {
    const stage = setStage();
    stage.world.calls.fails('readMembership', denied);
    stage.world.clock.schedule(600_000, () => stage.world.calls.heals());
    const state = await stage.leaves();
    expect(stage.deeds()).toContain('terminateInGroup');
    expect(state.troubles.join()).toContain('asking for the Auto Scaling group: not authorized');
  });

  // Only the group's own answer showed it: the metadata service still named its old target.
  it.each(['Standby', 'Detached'])('does not end a node that a person has put into %s meanwhile', async (held) => {
    const stage = setStage();
    atTheEnd(stage, () => void (stage.group.lifecycleState = held));
    await expect(stage.leaves()).rejects.toThrow(new TakenBack(`the node is ${held} in its group`));
    expect(stage.world.instance.state).toBe('running');
    const asked = setStage();
    atTheEnd(asked, () => void (asked.group.lifecycleState = held));
    await asked.leaves({ cause: 'operator', key: 'by-hand' });
    expect(asked.world.instance.state).toBe('shutting-down');
  });

  it('tries three times to clear a protection that comes back, and goes on', async () => {
    const stage = setStage(configOf({ terminationProtection: 'clear' }));
    stage.world.instance.terminationProtection = true;
    stage.world.instance.clearsIgnored = 99;
    await stage.leaves();
    expect(stage.world.calls.of('clearTerminationProtection')).toHaveLength(3);
    expect(stage.deeds()).toContain('terminateInGroup');
    expect(stage.world.log.map(({ message }) => message)).toContain('termination protection not cleared');
  });

  it('leaves a protection alone that is configured to stay, and a spot instance, which has none', async () => {
    const kept = setStage(configOf({ terminationProtection: 'keep' }));
    const spot = setStage(configOf({ terminationProtection: 'clear' }), { identity: { purchase: 'spot' } });
    for (const stage of [kept, spot]) {
      stage.world.instance.terminationProtection = true;
      await stage.leaves();
      expect(stage.world.calls.of('readTerminationProtection')).toEqual([]);
    }
  });

  it('is left to a group that says three times, 10 s apart, that it ends the node, where the metadata name no target', async () => {
    const stage = setStage();
    stage.world.metadata.targetState = undefined;
    atTheEnd(stage, () => stage.group.begin('terminate'));
    const state = await stage.leaves({ cause: 'operator', key: 'by-hand' });
    expect(stage.deeds()).not.toContain('terminateInGroup');
    const tookMs = state.entered.hook! - state.entered.terminate!;
    expect(tookMs).toBeGreaterThanOrEqual(20_000);
    expect(tookMs).toBeLessThan(30_000);
  });
});
