/** Systems Manager's Run Command, which really runs the script on the simulated machine. */

import { Refusal } from '../refusal.ts';
import { list, map, need, text, whole } from '../wire/shapes.ts';
import type { Command } from '../world/state.ts';
import { operation } from './service.ts';

const instanceId = text({ pattern: /^i-(\w{8}|\w{17})$/ });

export const commands = {
  SendCommand: operation(
    {
      InstanceIds: need(list(instanceId, { min: 1, max: 50 })),
      DocumentName: need(text({ pattern: /^[\w\-.:/]{3,128}$/ })),
      Comment: text({ max: 100 }),
      TimeoutSeconds: whole({ min: 30, max: 2_592_000 }),
      Parameters: map(),
    },
    ({ InstanceIds, DocumentName, Comment, Parameters = {} }, { world }) => {
      if (DocumentName !== 'AWS-RunShellScript') throw new Refusal('InvalidDocument', '');
      const lines: unknown = Parameters['commands'];
      if (!Array.isArray(lines)) throw new Refusal('InvalidParameters', 'commands is missing');
      if (InstanceIds.some((id) => world.managed.get(id)?.ping !== 'Online')) {
        throw new Refusal('InvalidInstanceId', 'Instances not in a valid state for account');
      }
      const id = world.random.uuid();
      for (const each of InstanceIds) {
        const command: Command = { id, instanceId: each, requestedAt: world.clock.now() };
        world.commands.set(`${id}/${each}`, command);
        void world.runCommand?.(each, lines.join('\n')).then(
          (output) => (command.output = output),
          (error: unknown) => (command.output = { code: 1, stdout: '', stderr: String(error) }),
        );
      }
      return {
        Command: {
          CommandId: id,
          DocumentName,
          ...(Comment !== undefined && { Comment }),
          InstanceIds,
          RequestedDateTime: new Date(world.clock.now()),
          Status: 'Pending',
          StatusDetails: 'Pending',
          TargetCount: InstanceIds.length,
        },
      };
    },
    ({ InstanceIds, DocumentName }, { world: { region, accountId } }) => [
      { resource: `arn:aws:ssm:${region}::document/${DocumentName}` },
      ...InstanceIds.map((id) => ({ resource: `arn:aws:ec2:${region}:${accountId}:instance/${id}` })),
    ],
  ),
  GetCommandInvocation: operation(
    { CommandId: need(text({ min: 36, max: 36 })), InstanceId: need(instanceId), PluginName: text({ min: 4 }) },
    ({ CommandId, InstanceId }, { world }) => {
      const command = world.commands.get(`${CommandId}/${InstanceId}`);
      if (!command) throw new Refusal('InvocationDoesNotExist', '');
      const { output, requestedAt } = command;
      const status = output === undefined ? 'InProgress' : output.code === 0 ? 'Success' : 'Failed';
      return {
        CommandId,
        InstanceId,
        DocumentName: 'AWS-RunShellScript',
        PluginName: 'aws:runShellScript',
        ResponseCode: output?.code ?? -1,
        ExecutionStartDateTime: new Date(requestedAt).toISOString(),
        Status: status,
        StatusDetails: status,
        StandardOutputContent: output?.stdout.slice(0, outputLimit) ?? '',
        StandardErrorContent: output?.stderr.slice(0, outputLimit) ?? '',
      };
    },
  ),
};

/** AWS shows this many characters. */
const outputLimit = 24_000;
