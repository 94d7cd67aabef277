/** Tells Chef's ohai that this is an EC2 instance, which it cannot see within a VPC: recipes would miss node['ec2']. */

import { paths } from '../../core/state.ts';
import type { Step } from '../step.ts';

export const ohaiHint: Step = {
  name: 'ohai-hint',
  async run(host) {
    // What is in it does not matter to ohai, so another's text stays.
    if ((await host.machine.readText(paths.ohaiHint)) !== undefined) return 'unchanged';
    return host.machine.writeText(paths.ohaiHint, '');
  },
};
