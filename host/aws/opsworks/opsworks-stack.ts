/**
 * A stack of OpsWorks by its id or its name: for the node that is to be registered there, and for
 * who looks after the fleet.
 */

import { DescribeStacksCommand, type OpsWorksClient } from '@aws-sdk/client-opsworks';
import { Refused } from '../../../core/errors.ts';
import type { Stack } from '../../../core/host.ts';
import { parseOpsWorksId } from '../../../core/opsworks/opsworks-id.ts';
import type { AwsCall } from '../fault.ts';

/**
 * Undefined when there is none; Refused when several are called so. `nameOf`: a stack of that id,
 * in a message about a missing permission.
 */
export async function findStack(
  client: OpsWorksClient,
  callAws: AwsCall,
  idOrName: string,
  nameOf: (id: string) => string,
  signal: AbortSignal,
): Promise<Stack | undefined> {
  const id = parseOpsWorksId(idOrName);
  // By name all stacks must be listed: there is no filter.
  const answer = await callAws('opsworks:DescribeStacks', id === undefined ? '*' : nameOf(id), signal, (options) =>
    client.send(new DescribeStacksCommand(id === undefined ? {} : { StackIds: [id] }), options),
  ).catch(unlessGone);
  const found = (answer?.Stacks ?? []).filter(({ StackId, Name }) =>
    id === undefined ? Name === idOrName : StackId === id,
  );
  if (found.length > 1) {
    const ids = found.map(({ StackId }) => StackId).join(', ');
    throw new Refused(`${found.length} stacks are called "${idOrName}"; use the id: ${ids}`, { code: 'NotUnique' });
  }
  const [stack] = found;
  if (stack?.StackId === undefined) return undefined;
  return { id: stack.StackId, name: stack.Name ?? '', region: stack.Region ?? '' };
}

/** Of what does not exist, or not any more: undefined. */
export function unlessGone(error: unknown): undefined {
  if (error instanceof Refused && error.code === 'ResourceNotFoundException') return undefined;
  throw error;
}
