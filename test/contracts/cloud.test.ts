import { describeCloud, type Area } from './cloud.ts';
import { fakeCloud } from './stages/fake.ts';
import { simulatedCloud } from './stages/simulator.ts';

const areas: Area[] = [
  'instance',
  'group',
  'cluster',
  'balancers',
  'opsworks',
  'systemsManager',
  'metrics',
  'events',
  'configuration',
];

describeCloud('in memory', fakeCloud, areas);
describeCloud('the simulator', simulatedCloud, areas);
