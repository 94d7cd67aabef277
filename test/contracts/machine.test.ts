import { describeMachine } from './machine.ts';
import { fakeMachine } from './stages/fake.ts';
import { realMachine } from './stages/real-machine.ts';

describeMachine('in memory', fakeMachine);
describeMachine('this machine, below a root', realMachine);
