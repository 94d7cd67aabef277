/**
 * OpsWorks Stacks: the calls to register, assign and deregister. Only `findRegistration` lists the
 * stack.
 */

import {
  AssignInstanceCommand,
  DeregisterInstanceCommand,
  DescribeInstancesCommand,
  DescribeLayersCommand,
  DescribeStackProvisioningParametersCommand,
  GetHostnameSuggestionCommand,
  OpsWorksClient,
  UnassignInstanceCommand,
  type Instance,
} from '@aws-sdk/client-opsworks';
import { Refused, Unavailable } from '../../../core/errors.ts';
import type { OpsWorksCloud, Registration } from '../../../core/host.ts';
import { parseOpsWorksId } from '../../../core/opsworks/opsworks-id.ts';
import { parseList } from '../parse-list.ts';
import { findStack, unlessGone } from './opsworks-stack.ts';
import type { Session } from '../session/session.ts';

export function openOpsWorks(session: Session, region: string): OpsWorksCloud & { destroy(): void } {
  const client = new OpsWorksClient(session.settings('OPSWORKS', region));
  return {
    destroy: () => client.destroy(),
    ...openStacks(client, session, region),
    ...openRegistrations(client, session, region),
  };
}

type StackVerbs = 'readStack' | 'readLayer' | 'readProvisioning' | 'suggestHostname';

function openStacks(
  client: OpsWorksClient,
  { identity, callAws }: Session,
  region: string,
): Pick<OpsWorksCloud, StackVerbs> {
  const stackArn = (id: string) => `arn:${identity.partition}:opsworks:${region}:${identity.accountId}:stack/${id}/`;
  return {
    readStack: (idOrName, signal) => findStack(client, callAws, idOrName, stackArn, signal),
    async readLayer(stackId, idOrShortName, signal) {
      const id = parseOpsWorksId(idOrShortName);
      const call = 'opsworks:DescribeLayers';
      const answer = await callAws(call, stackArn(stackId), signal, (options) =>
        client.send(new DescribeLayersCommand(id === undefined ? { StackId: stackId } : { LayerIds: [id] }), options),
      ).catch(unlessGone);
      if (answer === undefined) return undefined;
      const layer = parseList(call, 'Layers', answer.Layers).find(({ LayerId, Shortname }) =>
        id === undefined ? Shortname === idOrShortName : LayerId === id,
      );
      if (layer?.LayerId === undefined) return undefined;
      return { id: layer.LayerId, stackId: layer.StackId ?? '', shortName: layer.Shortname ?? '' };
    },
    async readProvisioning(stackId, signal) {
      const { AgentInstallerUrl, Parameters } = await callAws(
        'opsworks:DescribeStackProvisioningParameters',
        stackArn(stackId),
        signal,
        (options) => client.send(new DescribeStackProvisioningParametersCommand({ StackId: stackId }), options),
      );
      if (!AgentInstallerUrl)
        throw new Refused(`OpsWorks names no installer for stack ${stackId}`, { code: 'NoInstaller' });
      return { installerUrl: AgentInstallerUrl, parameters: { ...Parameters } };
    },
    async suggestHostname(layerId, signal) {
      const { Hostname } = await callAws('opsworks:GetHostnameSuggestion', stackArn('*'), signal, (options) =>
        client.send(new GetHostnameSuggestionCommand({ LayerId: layerId }), options),
      );
      if (!Hostname) throw new Refused(`OpsWorks suggests no hostname for layer ${layerId}`, { code: 'NoHostname' });
      return Hostname;
    },
  };
}

type RegistrationVerbs = 'findRegistration' | 'readRegistration' | 'assign' | 'unassign' | 'deregister';

function openRegistrations(
  client: OpsWorksClient,
  { identity, callAws }: Session,
  region: string,
): Pick<OpsWorksCloud, RegistrationVerbs> {
  const self = identity.instanceId;
  const anyStack = `arn:${identity.partition}:opsworks:${region}:${identity.accountId}:stack/*`;
  const call = 'opsworks:DescribeInstances';
  const describe = async (which: { StackId: string } | { InstanceIds: string[] }, signal: AbortSignal) =>
    await callAws(call, anyStack, signal, (options) => client.send(new DescribeInstancesCommand(which), options));
  /**
   * A record of another instance does not count, whichever program wrote its id into the state
   * file. The OpsWorks agent serves the newest record.
   */
  const own = (instances: Instance[] | undefined): Registration | undefined => {
    const [found, ...older] = parseList(call, 'Instances', instances)
      .filter(({ Ec2InstanceId }) => Ec2InstanceId === self)
      .toSorted((a, b) => Date.parse(b.CreatedAt ?? '') - Date.parse(a.CreatedAt ?? '') || 0);
    if (found?.InstanceId === undefined) return undefined;
    const { InstanceId: id, Hostname: hostname = '', Status: status = '', LayerIds: layerIds = [] } = found;
    const others = older.flatMap(({ InstanceId }) => InstanceId ?? []);
    return { id, hostname, status, layerIds, ...(others.length > 0 && { older: others }) };
  };
  return {
    findRegistration: async (stackId, signal) => own((await describe({ StackId: stackId }, signal)).Instances),
    async readRegistration(id, signal) {
      const answer = await describe({ InstanceIds: [id] }, signal).catch(unlessGone);
      if (answer === undefined) return undefined;
      // OpsWorks refuses an id that it does not know, so a list without the id is no answer.
      if (!parseList(call, 'Instances', answer.Instances).some(({ InstanceId }) => InstanceId === id))
        throw new Unavailable(`${call}: the answer lacks the record ${id}`);
      return own(answer.Instances);
    },
    async assign(id, layerId, signal) {
      await callAws('opsworks:AssignInstance', anyStack, signal, (options) =>
        client.send(new AssignInstanceCommand({ InstanceId: id, LayerIds: [layerId] }), options),
      );
    },
    async unassign(id, signal) {
      await callAws('opsworks:UnassignInstance', anyStack, signal, (options) =>
        client.send(new UnassignInstanceCommand({ InstanceId: id }), options),
      );
    },
    async deregister(id, signal) {
      await callAws('opsworks:DeregisterInstance', anyStack, signal, (options) =>
        client.send(new DeregisterInstanceCommand({ InstanceId: id }), options),
      );
    },
  };
}
