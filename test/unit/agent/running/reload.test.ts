/** A reload takes the agent's memory away, and must wait where the disk has not kept it. */

import { expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { paths } from '../../../../core/state/state.ts';
import { setStage } from '../stage.ts';
import { hour, minute } from './in-service.ts';

it('waits until a departure is undone that a full disk has not kept', async () => {
  const stage = setStage();
  const { world, host } = stage;
  const reload = Promise.withResolvers<void>();
  const machine = {
    ...host.machine,
    async writeText(path: string, text: string) {
      if (path === paths.departure) throw new Unavailable('ENOSPC: no space left on device, write');
      return host.machine.writeText(path, text);
    },
  };
  const agent = stage.agent({ ...host, machine }, { handOver: () => reload.promise });
  await world.clock.run(minute);
  world.metadata.targetState = 'Terminated';
  world.calls.fails('activate', new Refused('denied', { code: 'AccessDenied' }));
  await world.clock.run(20_000);
  expect(stage.own.status).toBe('DRAINING');
  world.metadata.targetState = 'InService';
  await world.clock.run(minute);
  reload.resolve();
  await world.clock.run(minute);
  world.calls.heals();
  await world.clock.run(hour);
  expect(stage.own.status).toBe('ACTIVE');
  expect(await agent.done).toBeUndefined();
});
