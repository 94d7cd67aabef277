/** Names a node that ECS registered outside its group's capacity provider. */

import { Refused, messageOf } from '../../core/errors.ts';
import { ok, unsure, wrong, type Check } from './check.ts';

export const capacityProvider: Check = {
  name: 'capacity provider',
  async run({ examination, config }, signal) {
    if (examination === undefined || config === undefined) {
      return unsure('not checked without instance metadata and configuration');
    }
    try {
      const facts = await examination.readProvider(signal);
      if (facts === undefined) return ok('this instance is in no group, or not in the cluster');
      const { group, provider, inside, tasks } = facts;
      if (provider === undefined) return ok(`the cluster has none for the group ${group}`);
      if (inside === provider) return ok(`in ${provider}`);
      const remedy =
        tasks === 0
          ? 'the node registers anew by itself; "ecs-node status" says why it has not yet'
          : `the node registers anew by itself once its ${tasks} tasks have stopped`;
      return wrong(`ECS has this node outside ${provider}: services that use it place no task here`, remedy);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return unsure(`not known: ${messageOf(error)}`);
    }
  },
};
