import { afterAll, beforeAll } from 'vitest';
import { describeCloud } from './cloud.ts';
import { motoCloud, startMoto, type Moto } from './stages/moto.ts';

let moto: Moto;
beforeAll(async () => {
  moto = await startMoto();
}, 60_000);
afterAll(() => moto.close());

describeCloud(
  'moto',
  (how) => motoCloud(moto, how),
  ['instance', 'group', 'cluster', 'balancers', 'metrics', 'configuration'],
  {
    "a tag in AWS's own name is refused": 'moto takes it',
    'an instance in no group is in none, and cannot end through one': 'moto answers 500',
    'hooks are told with their limits': 'moto gives every hook a global time-out of 48 hours',
    'a cluster that does not exist is refused': 'moto says that it is empty',
    'a place in the queue to leave is taken once, kept, and given back': 'moto does not know targets by ARN',
    'a revision that was deregistered stands for nothing any more': 'moto finds nothing else by the family then',
    'a task is not started where there is no room for it': 'moto has room for every task',
    'a load balancer that does not exist is refused': 'moto answers 500',
  },
);
