import { expect, it } from 'vitest';
import { lookForLateView } from '../../../../agent/joining/late-view.ts';
import { Refused } from '../../../../core/errors.ts';
import { paths, renderState, type BootstrapState } from '../../../../core/state/state.ts';
import { never, setStage } from '../stage.ts';

const minute = 60_000;

const stateOf = (text: unknown) => JSON.parse(String(text)) as BootstrapState;

it('shows a node as registered once Systems Manager sees it, long after its bootstrap went on without it', async () => {
  const { host, world } = setStage();
  const before = stateOf(world.machine.files.get(paths.bootstrap));
  const registered = { registrar: 'ssm', unseen: true } as const;
  world.machine.files.set(paths.bootstrap, renderState({ ...before, registered }));
  world.calls.fails('readPing', new Refused('no', { code: 'AccessDeniedException' }));
  const looking = lookForLateView(host, never);
  await world.clock.run(60 * minute);
  expect(world.log.filter(({ message }) => message === 'Systems Manager not read')).toHaveLength(1);
  world.calls.heals();
  world.systemsManager.ping = 'Online';
  await world.clock.finish(looking, 20 * minute);
  expect(stateOf(world.machine.files.get(paths.bootstrap)).registered).toEqual({ registrar: 'ssm' });
});

it('asks nothing when Systems Manager has seen the node, or another registrar is used', async () => {
  const { host, world } = setStage();
  await world.clock.finish(lookForLateView(host, never));
  expect(world.calls.verbs('cloud')).toEqual([]);
});
