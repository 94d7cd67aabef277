import { describeFleetServices } from './fleet-services.ts';
import { fakeFleetServices, simulatedFleetServices } from '../stages/fleet-services.ts';

describeFleetServices('in memory', fakeFleetServices);
describeFleetServices('the simulator', simulatedFleetServices);
