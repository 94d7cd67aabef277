/**
 * An agent that lost its state registers again. ECS keeps the old record of that instance, which
 * stays disconnected for ever.
 */

import { isDenied } from '../../../core/errors.ts';
import type { RecordSummary } from '../../../core/host.ts';
import type { Record } from './ecs-answers.ts';

/** ECS accepts expressions of 2000 characters in placement constraints. 50 ids need 1200. */
const idsPerFilter = 50;

type Describe = (filter: string) => Promise<Record[]>;

export async function summarize(records: readonly Record[], describe: Describe): Promise<RecordSummary[]> {
  const connected = await findConnected(records, describe);
  return records.map(({ arn, ec2InstanceId, agentConnected }) => ({
    arn,
    ec2InstanceId,
    agentConnected,
    replaced: !agentConnected && connected.has(ec2InstanceId),
  }));
}

/** The EC2 instances of the disconnected records that have a connected record as well. */
async function findConnected(records: readonly Record[], describe: Describe): Promise<Set<string>> {
  const disconnected = records.filter(({ agentConnected }) => !agentConnected);
  const ids = [...new Set(disconnected.map(({ ec2InstanceId }) => ec2InstanceId))].filter((id) => id.startsWith('i-'));
  const connected = new Set<string>();
  for (let start = 0; start < ids.length; start += idsPerFilter) {
    const some = ids.slice(start, start + idsPerFilter);
    try {
      const found = await describe(`agentConnected == true and ec2InstanceId in [${some.join(', ')}]`);
      for (const { ec2InstanceId, agentConnected } of found) if (agentConnected) connected.add(ec2InstanceId);
    } catch (error) {
      // A role may allow the describe call and not the list call.
      if (!isDenied(error)) throw error;
      return connected;
    }
  }
  return connected;
}
