/** Systems Manager's API for managed instances and for parameters. */

import { Refusal } from '../refusal.ts';
import { flag, list, need, oneOf, record, text, whole } from '../wire/shapes.ts';
import type { ManagedInstance, Parameter, World } from '../world/state.ts';
import { findParameter, putParameter } from '../world/systems-manager.ts';
import { denied, throttled, validationComplaints } from './dialects.ts';
import { takePage } from './pages.ts';
import { commands } from './ssm-commands.ts';
import { operation, type Access, type Service } from './service.ts';

const badToken = () => new Refusal('InvalidNextToken', 'The specified token is not valid.');

const parameterAccess = (world: World, names: readonly string[]): Access[] =>
  names.map((name) => ({
    resource: `arn:aws:ssm:${world.region}:${world.accountId}:parameter${name.startsWith('/') ? '' : '/'}${name}`,
  }));

const instances = {
  DescribeInstanceInformation: operation(
    {
      InstanceInformationFilterList: list(record({ key: need(text()), valueSet: need(list(text(), { min: 1 })) })),
      Filters: list(record({ Key: need(text()), Values: need(list(text(), { min: 1, max: 100 })) })),
      MaxResults: whole({ min: 5, max: 50 }),
      NextToken: text(),
    },
    ({ Filters = [], InstanceInformationFilterList = [], MaxResults, NextToken }, { world }) => {
      const filters = [
        ...Filters,
        ...InstanceInformationFilterList.map(({ key, valueSet }) => ({ Key: key, Values: valueSet })),
      ];
      const byId = filters.find(({ Key }) => Key === 'InstanceIds');
      const chosen = byId ? byId.Values.flatMap((id) => world.managed.get(id) ?? []) : [...world.managed.values()];
      const found = chosen.filter((managed) =>
        filters.every(({ Key, Values }) => Values.includes(fieldOf(managed, Key))),
      );
      const { page, next } = takePage(found, MaxResults ?? 50, NextToken, badToken);
      return { InstanceInformationList: page.map((managed) => renderManaged(world, managed)), NextToken: next };
    },
  ),
  GetConnectionStatus: operation({ Target: need(text({ min: 1, max: 400 })) }, ({ Target }, { world }) => ({
    Target,
    Status: world.managed.get(Target)?.ping === 'Online' ? 'connected' : 'notconnected',
  })),
};

function fieldOf({ instanceId, ping }: ManagedInstance, key: string): string {
  if (key === 'InstanceIds') return instanceId;
  if (key === 'PingStatus') return ping;
  if (key === 'ResourceType') return 'EC2Instance';
  throw new Refusal('InvalidInstanceInformationFilterValue', `The filter key ${key} is not valid.`);
}

function renderManaged(world: World, managed: ManagedInstance): object {
  const instance = world.instances.get(managed.instanceId);
  return {
    InstanceId: managed.instanceId,
    PingStatus: managed.ping,
    LastPingDateTime: new Date(managed.lastPingAt),
    RegistrationDate: new Date(managed.registeredAt),
    AgentVersion: '3.3.1957.0',
    IsLatestVersion: true,
    PlatformType: 'Linux',
    PlatformName: 'Amazon Linux',
    PlatformVersion: '2023',
    ResourceType: 'EC2Instance',
    IPAddress: instance?.privateIp,
    ComputerName: `ip-${instance?.privateIp.replaceAll('.', '-')}.ec2.internal`,
    SourceId: managed.instanceId,
    SourceType: 'AWS::EC2::Instance',
  };
}

const parameters = {
  GetParameter: operation(
    { Name: need(text({ min: 1 })), WithDecryption: flag() },
    ({ Name, WithDecryption = false }, { world }) => {
      const parameter = findParameter(world, Name);
      if (!parameter) throw new Refusal('ParameterNotFound', '');
      return { Parameter: renderParameter(world, parameter, WithDecryption) };
    },
    ({ Name }, { world }) => parameterAccess(world, [Name]),
  ),
  GetParameters: operation(
    { Names: need(list(text(), { min: 1, max: 10 })), WithDecryption: flag() },
    ({ Names, WithDecryption = false }, { world }) => {
      const found = Names.map((name) => ({ name, parameter: findParameter(world, name) }));
      return {
        Parameters: found.flatMap(({ parameter }) =>
          parameter ? [renderParameter(world, parameter, WithDecryption)] : [],
        ),
        InvalidParameters: found.filter(({ parameter }) => !parameter).map(({ name }) => name),
      };
    },
    ({ Names }, { world }) => parameterAccess(world, Names),
  ),
  GetParametersByPath: operation(
    {
      Path: need(text({ min: 1 })),
      Recursive: flag(),
      WithDecryption: flag(),
      MaxResults: whole({ min: 1, max: 10 }),
      NextToken: text(),
    },
    ({ Path, Recursive = false, WithDecryption = false, MaxResults, NextToken }, { world }) => {
      const prefix = Path.endsWith('/') ? Path : `${Path}/`;
      const below = [...world.parameters.values()]
        .filter(({ name }) => name.startsWith(prefix))
        .filter(({ name }) => Recursive || !name.slice(prefix.length).includes('/'));
      const { page, next } = takePage(below, MaxResults ?? 10, NextToken, badToken);
      return { Parameters: page.map((each) => renderParameter(world, each, WithDecryption)), NextToken: next };
    },
    ({ Path }, { world }) => parameterAccess(world, [Path]),
  ),
  PutParameter: operation(
    {
      Name: need(text({ min: 1 })),
      Value: need(text({ min: 1, max: 8192 })),
      Type: oneOf('String', 'StringList', 'SecureString'),
      Overwrite: flag(),
    },
    ({ Name, Value, Type, Overwrite = false }, { world }) => {
      if (Type === undefined && !world.parameters.has(Name)) {
        throw new Refusal('ValidationException', 'A parameter type is required when you create a parameter.');
      }
      const { version } = putParameter(world, Name, Value, Type ?? world.parameters.get(Name)?.type, Overwrite);
      return { Version: version, Tier: 'Standard' };
    },
    ({ Name }, { world }) => parameterAccess(world, [Name]),
  ),
};

function renderParameter(world: World, parameter: Parameter, decrypt: boolean): object {
  const { name, type, value, version, modifiedAt } = parameter;
  const [access] = parameterAccess(world, [name]);
  return {
    Name: name,
    Type: type,
    Value: type === 'SecureString' && !decrypt ? Buffer.from(value).toString('base64') : value,
    Version: version,
    LastModifiedDate: new Date(modifiedAt),
    ARN: access?.resource,
    DataType: 'text',
  };
}

export const ssm: Service = {
  id: 'ssm',
  signingName: 'ssm',
  iam: 'ssm',
  protocol: 'json',
  version: 'AmazonSSM',
  complain: validationComplaints('ValidationException'),
  throttle: throttled('ThrottlingException', 400),
  deny: denied('AccessDeniedException', 400),
  operations: { ...instances, ...parameters, ...commands },
};
