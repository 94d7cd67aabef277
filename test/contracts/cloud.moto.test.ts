import { afterAll, beforeAll } from 'vitest';
import { describeCloud } from './cloud.ts';
import { motoCloud, startMoto, type Moto } from './stages/moto.ts';

let moto: Moto;
beforeAll(async () => {
  moto = await startMoto();
});
afterAll(() => moto.close());

describeCloud(
  'moto',
  (how) => motoCloud(moto, how),
  ['instance', 'group', 'cluster', 'balancers', 'metrics', 'events', 'configuration'],
  {
    "a tag with AWS's own prefix is refused": 'moto accepts it',
    'an instance outside any group has no membership, and cannot terminate through a group': 'moto answers 500',
    'hooks are listed with their timeouts': 'moto gives every hook a global timeout of 48 hours',
    'a cluster that does not exist is refused': 'moto answers that it is empty',
    'an entry in the leave queue is made once, kept, and removed': 'moto does not know targets by ARN',
    'a family no longer means a deregistered revision': 'moto then finds no other revision of the family',
    'a record that is gone already counts as deregistered': 'moto answers 500',
    'a task does not start without enough room': 'moto has room for every task',
    'a task that ECS does not know has no reason to have stopped': 'moto lists no failure for it',
    'a load balancer that does not exist is refused': 'moto answers 500',
    'an event that is too large is refused': 'moto takes events of any size',
  },
);
