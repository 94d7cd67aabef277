import { afterAll, beforeAll } from 'vitest';
import { describeFleetServices } from './fleet-services.ts';
import { motoFleetServices } from '../stages/fleet-services.ts';
import { startMoto, type Moto } from '../stages/moto.ts';

let moto: Moto;
beforeAll(async () => {
  moto = await startMoto();
});
afterAll(() => moto.close());

describeFleetServices('moto', (instances, desired) => motoFleetServices(moto, instances, desired), {
  'counts container instances by state': 'moto lists all of them for every requested state',
  'knows whether Application Auto Scaling sizes the service': 'moto answers it with the content type of a web page',
});
