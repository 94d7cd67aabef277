import { afterAll, beforeAll } from 'vitest';
import { describeFleetNodes } from './fleet-nodes.ts';
import { motoStage } from '../stages/fleet.ts';
import { startMoto, type Moto } from '../stages/moto.ts';

let moto: Moto;
beforeAll(async () => {
  moto = await startMoto();
});
afterAll(() => moto.close());

describeFleetNodes('moto', () => motoStage(moto), {
  'an instance is not found in a cluster that has only another one':
    'moto ignores the filter of ListContainerInstances',
  'a missing cluster and a missing group are refused': 'moto answers that the cluster is empty',
});
