import { describeEcsAgent } from './ecs-agent.ts';
import { fakeEcsAgent } from './stages/fake.ts';
import { simulatedEcsAgent } from './stages/simulator.ts';

describeEcsAgent('in memory', fakeEcsAgent);
describeEcsAgent('the simulator', simulatedEcsAgent);
