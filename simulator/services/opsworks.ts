/** OpsWorks Stacks' API, as `aws opsworks register` and the agent's installer used it. */

import { createPublicKey } from 'node:crypto';
import { Refusal } from '../refusal.ts';
import { list, need, record, text } from '../wire/shapes.ts';
import {
  assignInstance,
  deregisterInstance,
  findLayer,
  findRegistration,
  findStack,
  registerInstance,
  suggestHostname,
  unassignInstance,
} from '../world/opsworks.ts';
import type { Instance, Registration, World } from '../world/state.ts';
import { denied, throttled, validationComplaints } from './dialects.ts';
import { operation, type Access, type CallContext, type Service } from './service.ts';

const stackAccess = (world: World, stackId: string | undefined): Access[] => [
  { resource: `arn:aws:opsworks:${world.region}:${world.accountId}:stack/${stackId ?? '*'}/` },
];

const byStack = ({ StackId }: { StackId: string }, { world }: CallContext) => stackAccess(world, StackId);

const byInstance = ({ InstanceId }: { InstanceId: string }, { world }: CallContext) =>
  stackAccess(world, world.registrations.get(InstanceId)?.stackId);

const describe = {
  DescribeStacks: operation({ StackIds: list(text()) }, ({ StackIds }, { world }) => {
    const stacks = StackIds ? StackIds.map((id) => findStack(world, id)) : [...world.stacks.values()];
    return {
      Stacks: stacks.map(({ id, name, arn, region }) => ({
        StackId: id,
        Name: name,
        Arn: arn,
        Region: region,
        VpcId: 'vpc-0123456789abcdef0',
        HostnameTheme: 'Layer_Dependent',
        DefaultOs: 'Amazon Linux 2',
        AgentVersion: 'LATEST',
        CreatedAt: '2020-01-01T00:00:00+00:00',
      })),
    };
  }),
  DescribeLayers: operation({ StackId: text(), LayerIds: list(text()) }, ({ StackId, LayerIds }, { world }) => {
    exactlyOne({ StackId, LayerIds });
    const layers = LayerIds
      ? LayerIds.map((id) => findLayer(world, id))
      : [...world.layers.values()].filter(({ stackId }) => stackId === findStack(world, StackId!).id);
    return {
      Layers: layers.map(({ id, stackId, name, shortName }) => ({
        LayerId: id,
        StackId: stackId,
        Arn: `arn:aws:opsworks:${world.region}:${world.accountId}:layer/${id}/`,
        Type: 'custom',
        Name: name,
        Shortname: shortName,
        CreatedAt: '2020-01-01T00:00:00+00:00',
      })),
    };
  }),
  DescribeStackProvisioningParameters: operation(
    { StackId: need(text()) },
    ({ StackId }, { world, caller, endpoint }) => {
      const stack = findStack(world, StackId);
      // The address names the node, because the installer must reach this node's own metadata.
      const whose = caller?.id ?? 'any';
      return {
        AgentInstallerUrl: `${endpoint}/opsworks/${whose}/opsworks-agent-installer.tgz`,
        Parameters: stack.parameters,
      };
    },
    byStack,
  ),
  DescribeInstances: operation(
    { StackId: text(), LayerId: text(), InstanceIds: list(text()) },
    (input, { world }) => ({ Instances: listInstances(world, input).map((each) => renderInstance(each)) }),
    ({ StackId }, { world }) => stackAccess(world, StackId),
  ),
  GetHostnameSuggestion: operation(
    { LayerId: need(text()) },
    ({ LayerId }, { world }) => ({ LayerId, Hostname: suggestHostname(world, findLayer(world, LayerId)) }),
    ({ LayerId }, { world }) => stackAccess(world, world.layers.get(LayerId)?.stackId),
  ),
};

interface Which {
  StackId: string | undefined;
  LayerId: string | undefined;
  InstanceIds: string[] | undefined;
}

function listInstances(world: World, { StackId, LayerId, InstanceIds }: Which): Registration[] {
  exactlyOne({ StackId, LayerId, InstanceIds });
  if (InstanceIds) return InstanceIds.map((id) => findRegistration(world, id));
  const now = world.clock.now();
  const listed = [...world.registrations.values()].filter(({ listedFrom }) => listedFrom <= now);
  if (LayerId !== undefined) {
    const { id } = findLayer(world, LayerId);
    return listed.filter(({ layerIds }) => layerIds.includes(id));
  }
  const { id } = findStack(world, StackId!);
  return listed.filter(({ stackId }) => stackId === id);
}

function exactlyOne(choices: Record<string, unknown>): void {
  if (Object.values(choices).filter((value) => value !== undefined).length === 1) return;
  const names = Object.keys(choices).join(', ');
  throw new Refusal('ValidationException', `Please provide exactly one of the following parameters: ${names}`);
}

/** As long as a real record, because tests measure the cost of listing a stack. */
function renderInstance(registration: Registration): object {
  const { id, stackId, arn, instanceId, hostname, privateIp, publicIp, status, layerIds, createdAt } = registration;
  return {
    InstanceId: id,
    StackId: stackId,
    Arn: arn,
    Ec2InstanceId: instanceId,
    Hostname: hostname,
    Status: status,
    LayerIds: layerIds,
    PrivateIp: privateIp,
    PrivateDns: `ip-${privateIp.replaceAll('.', '-')}.ec2.internal`,
    ...(publicIp !== '' && { PublicIp: publicIp }),
    CreatedAt: new Date(createdAt).toISOString().replace(/\.\d+Z$/, '+00:00'),
    AgentVersion: '4041-20200101000000',
    Architecture: 'x86_64',
    AutoScalingType: null,
    EbsOptimized: false,
    InfrastructureClass: 'ec2',
    InstallUpdatesOnBoot: true,
    Os: 'Amazon Linux 2',
    RegisteredBy: 'AWS OpsWorks agent installer',
    ReportedOs: { Family: 'linux', Name: 'Amazon Linux', Version: '2' },
    RootDeviceType: 'ebs',
    SecurityGroupIds: [],
    Tenancy: 'default',
    VirtualizationType: 'hvm',
  };
}

const registering = {
  RegisterInstance: operation(
    {
      StackId: need(text()),
      Hostname: text(),
      PublicIp: text(),
      PrivateIp: text(),
      RsaPublicKey: text(),
      RsaPublicKeyFingerprint: text(),
      InstanceIdentity: record({ Document: text(), Signature: text() }),
    },
    (input, { world, caller, keys }) => {
      const stack = findStack(world, input.StackId);
      const instance = identify(world, input.InstanceIdentity, keys);
      if (caller && caller.id !== instance.id) {
        throw new Refusal(
          'ValidationException',
          `The instance identity belongs to ${instance.id}, not to the caller ${caller.id}`,
        );
      }
      if (input.RsaPublicKey === undefined)
        throw new Refusal('ValidationException', 'Please provide an RSA public key');
      checkKey(input.RsaPublicKey);
      const { PrivateIp: privateIp = instance.privateIp, PublicIp: publicIp = '' } = input;
      const hostname = input.Hostname ?? `ip-${privateIp.replaceAll('.', '-')}`;
      return { InstanceId: registerInstance(world, { stack, instance, hostname, privateIp, publicIp }).id };
    },
    byStack,
  ),
  AssignInstance: operation(
    { InstanceId: need(text()), LayerIds: need(list(text(), { min: 1 })) },
    ({ InstanceId, LayerIds }, { world }) =>
      assignInstance(
        world,
        findRegistration(world, InstanceId),
        LayerIds.map((id) => findLayer(world, id)),
      ),
    byInstance,
  ),
  UnassignInstance: operation(
    { InstanceId: need(text()) },
    ({ InstanceId }, { world }) => unassignInstance(world, findRegistration(world, InstanceId)),
    byInstance,
  ),
  DeregisterInstance: operation(
    { InstanceId: need(text()) },
    ({ InstanceId }, { world }) => deregisterInstance(world, findRegistration(world, InstanceId)),
    byInstance,
  ),
};

function identify(
  world: World,
  identity: { Document: string | undefined; Signature: string | undefined } | undefined,
  keys: CallContext['keys'],
): Instance {
  const { Document, Signature } = identity ?? {};
  const invalid = (message: string) => new Refusal('ValidationException', message);
  if (!Document || !Signature) throw invalid('Please provide the instance identity document and its signature');
  if (!keys.verify(Document, Signature)) throw invalid('The instance identity document could not be verified');
  const { instanceId } = JSON.parse(Document) as { instanceId: string };
  const instance = world.instances.get(instanceId);
  if (instance?.state !== 'running') throw invalid(`Instance ${instanceId} is not running`);
  return instance;
}

function checkKey(pem: string): void {
  try {
    if (createPublicKey(pem).asymmetricKeyType === 'rsa') return;
  } catch {
    // The refusal below covers a key that cannot be parsed.
  }
  throw new Refusal('ValidationException', 'RSA public key is invalid');
}

export const opsworks: Service = {
  id: 'opsworks',
  signingName: 'opsworks',
  iam: 'opsworks',
  protocol: 'json',
  version: 'OpsWorks_20130218',
  complain: validationComplaints('ValidationException'),
  throttle: throttled('ThrottlingException', 400),
  deny: denied('AccessDeniedException', 400),
  operations: { ...describe, ...registering },
};
