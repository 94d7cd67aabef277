/** The settings and the order of a departure. */

import { configOf } from '../../stage.ts';

export const targetGroup = 'arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef';

export const withBalancers = (more: object = {}) =>
  configOf({ leave: { targetGroups: [targetGroup], loadBalancers: ['classic'], ...more } });

export const scaleIn = { cause: 'scale-in', reason: 'scale-in', key: 'target:Terminated', ending: 'await' } as const;
