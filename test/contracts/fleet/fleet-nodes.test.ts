import { describeFleetNodes } from './fleet-nodes.ts';
import { fakeStage, simulatedStage } from '../stages/fleet.ts';

describeFleetNodes('in memory', fakeStage);
describeFleetNodes('the simulator', simulatedStage);
