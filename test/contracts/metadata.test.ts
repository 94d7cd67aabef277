import { describeMetadata } from './metadata.ts';
import { fakeMetadata } from './stages/fake.ts';
import { simulatedMetadata } from './stages/simulator.ts';

describeMetadata('in memory', fakeMetadata);
describeMetadata('the simulator', simulatedMetadata);
