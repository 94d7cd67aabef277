/** Flags that the commands about a fleet share. */

import type { Flag } from '../../cli/command.ts';

export const regionFlag: Flag = {
  name: 'region',
  value: 'REGION',
  form: { pattern: /^[a-z]{2}(-[a-z]+)+-\d$/, words: 'a region such as eu-west-1' },
  help: "AWS region; default: AWS_REGION, AWS_DEFAULT_REGION, or this node's",
};

/** ECS's rule for names of clusters and services. */
export const ecsName = { pattern: /^[A-Za-z0-9_-]{1,255}$/, words: 'a name of 1 to 255 letters, digits, - or _' };

export const groupName = { pattern: /^[\x20-\x7e]{1,255}$/, words: 'the name of an Auto Scaling group' };
