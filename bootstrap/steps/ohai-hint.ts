/**
 * Tells Chef's ohai that this is an EC2 instance, which ohai cannot detect within a VPC. Without
 * it, recipes miss node['ec2'].
 */

import { paths } from '../../core/state/state.ts';
import type { Step } from '../step.ts';
import { logOptionalFailure } from '../poll.ts';

export const ohaiHint: Step = {
  name: 'ohai-hint',
  async run(host, _config, _context, signal) {
    try {
      // Ohai does not read the content, so another program's text stays.
      if ((await host.machine.readText(paths.ohaiHint)) !== undefined) return 'unchanged';
      return await host.machine.writeText(paths.ohaiHint, '');
    } catch (error) {
      logOptionalFailure('hint for ohai not written', host, error, signal);
      return 'skipped';
    }
  },
};
