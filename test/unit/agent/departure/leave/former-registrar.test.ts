import { expect, it } from 'vitest';
import { runDeparture } from '../../../../../agent/departure/leave.ts';
import { Refused } from '../../../../../core/errors.ts';
import { paths, renderState, type BootstrapState, type Registered } from '../../../../../core/state/state.ts';
import { never, setStage, someOrder } from '../../stage.ts';

const former: Registered = { registrar: 'opsworks', id: 'record-0' };
const present: Registered = { registrar: 'opsworks', id: 'record-1' };

function stageWith(states: Partial<BootstrapState>) {
  const stage = setStage();
  const { instanceId } = stage.world.identity;
  const state = { instanceId, startedAt: 0, attempts: 1, outcome: 'done', steps: [], ...states } as const;
  stage.world.machine.files.set(paths.bootstrap, renderState(state));
  return stage;
}

it.each([
  ['a registrar', present, [present, former]],
  ['none', { registrar: 'none' } as const, [former]],
])('a node that leaves deregisters from its former registrar as well: now %s', async (_now, registered, all) => {
  const stage = stageWith({ registered, former: [former] });
  await stage.leaves();
  expect(stage.deregistered).toEqual(all);
});

it('a former registrar that refuses keeps no node from leaving the present one', async () => {
  const stage = stageWith({ registered: present, former: [former] });
  const deregister: typeof stage.deregister = async (host, one, signal) => {
    if (one.id === former.id) throw new Refused('not authorized');
    await stage.deregister(host, one, signal);
  };
  stage.agrees();
  await stage.world.clock.finish(runDeparture(stage.host, stage.config, someOrder(), { deregister }, never));
  expect(stage.departure()).toMatchObject({ phase: 'done', troubles: ['registrar: not authorized'] });
  expect(stage.deregistered).toEqual([present]);
});
