/** EC2 Auto Scaling's operations on instance refreshes. */

import { Refusal } from '../refusal.ts';
import { flag, list, need, oneOf, record, text, whole } from '../wire/shapes.ts';
import { findGroup } from '../world/groups.ts';
import { startRefresh } from '../world/refreshes.ts';
import type { Refresh } from '../world/state.ts';
import { takePage } from './pages.ts';
import { operation, type Access, type CallContext } from './service.ts';

const name = text({ min: 1, max: 255 });

type ByName = (input: { AutoScalingGroupName: string }, call: CallContext) => Access[];

export const refreshes = (byName: ByName) => ({
  StartInstanceRefresh: operation(
    {
      AutoScalingGroupName: need(name),
      Strategy: oneOf('Rolling', 'ReplaceRootVolume'),
      Preferences: record({
        MinHealthyPercentage: whole({ min: 0, max: 100 }),
        MaxHealthyPercentage: whole({ min: 100, max: 200 }),
        InstanceWarmup: whole({ min: 0 }),
        SkipMatching: flag(),
      }),
    },
    ({ AutoScalingGroupName }, { world }) => ({
      InstanceRefreshId: startRefresh(world, findGroup(world, AutoScalingGroupName)).id,
    }),
    byName,
  ),
  DescribeInstanceRefreshes: operation(
    {
      AutoScalingGroupName: need(name),
      InstanceRefreshIds: list(name),
      MaxRecords: whole({ min: 1, max: 100 }),
      NextToken: text(),
    },
    ({ AutoScalingGroupName, InstanceRefreshIds, MaxRecords = 50, NextToken }, { world }) => {
      const all = world.refreshes.get(findGroup(world, AutoScalingGroupName).name) ?? [];
      const asked = all.filter(({ id }) => InstanceRefreshIds?.includes(id) ?? true);
      const badToken = () => new Refusal('InvalidNextToken', 'The token is invalid.');
      const { page, next } = takePage(asked, MaxRecords, NextToken, badToken);
      return { InstanceRefreshes: page.map((each) => render(AutoScalingGroupName, each)), NextToken: next };
    },
  ),
});

function render(group: string, { id, status, startedAt, endedAt, left, total }: Refresh): object {
  return {
    InstanceRefreshId: id,
    AutoScalingGroupName: group,
    Status: status,
    StartTime: new Date(startedAt),
    EndTime: endedAt === undefined ? undefined : new Date(endedAt),
    PercentageComplete: total === 0 ? 100 : Math.floor(((total - left.length) / total) * 100),
    InstancesToUpdate: left.length,
    Strategy: 'Rolling',
  };
}
