import { expect, it } from 'vitest';
import { isDiskFull } from '../../../agent/own-reasons.ts';
import { Unavailable } from '../../../core/errors.ts';
import { configOf, never, setStage } from './stage.ts';

it('does not take a disk for freed that could not be measured', async () => {
  const stage = setStage();
  const isFull = () => isDiskFull(stage.host, configOf(), never);
  expect(await stage.world.clock.finish(isFull())).toBe(false);
  stage.world.machine.unmeasured.set('/var/lib/docker', 'the file system does not answer');
  await expect(stage.world.clock.finish(isFull())).rejects.toThrow(Unavailable);
  stage.fillDisk(95);
  expect(await stage.world.clock.finish(isFull())).toBe(true);
});
