/**
 * Finds a stack of OpsWorks by its id or its name, for a node's registration and for the fleet
 * commands.
 */

import { DescribeStacksCommand, type OpsWorksClient } from '@aws-sdk/client-opsworks';
import { Refused } from '../../../core/errors.ts';
import type { Stack } from '../../../core/host.ts';
import { parseOpsWorksId } from '../../../core/opsworks/opsworks-id.ts';
import type { AwsCall } from '../fault.ts';
import { parseList } from '../parse-list.ts';

/**
 * Undefined when no stack has it. Refused when several stacks have this name. `nameOf` renders a
 * stack's id in a message about a missing permission.
 */
export async function findStack(
  client: OpsWorksClient,
  callAws: AwsCall,
  idOrName: string,
  nameOf: (id: string) => string,
  signal: AbortSignal,
): Promise<Stack | undefined> {
  const id = parseOpsWorksId(idOrName);
  // OpsWorks has no filter by name, so all stacks are listed.
  const call = 'opsworks:DescribeStacks';
  const answer = await callAws(call, id === undefined ? '*' : nameOf(id), signal, (options) =>
    client.send(new DescribeStacksCommand(id === undefined ? {} : { StackIds: [id] }), options),
  ).catch(unlessGone);
  if (answer === undefined) return undefined;
  const found = parseList(call, 'Stacks', answer.Stacks).filter(({ StackId, Name }) =>
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

/** Undefined for a resource that does not exist, or no longer. */
export function unlessGone(error: unknown): undefined {
  if (error instanceof Refused && error.code === 'ResourceNotFoundException') return undefined;
  throw error;
}
