/** The hosts of AWS's services, by the names that AWS_ENDPOINT_URL_NAME uses. */

const prefixes: Readonly<Record<string, string>> = {
  APPLICATION_AUTO_SCALING: 'application-autoscaling',
  AUTO_SCALING: 'autoscaling',
  CLOUDWATCH: 'monitoring',
  CLOUDWATCH_LOGS: 'logs',
  EC2: 'ec2',
  ECS: 'ecs',
  ELASTIC_LOAD_BALANCING: 'elasticloadbalancing',
  ELASTIC_LOAD_BALANCING_V2: 'elasticloadbalancing',
  EVENTBRIDGE: 'events',
  OPSWORKS: 'opsworks',
  S3: 's3',
  SSM: 'ssm',
};

/** The ordinary endpoint, by IPv4 or by an interface endpoint. */
export function hostOf(service: string, region: string): string {
  return `${prefixOf(service)}.${region}.${domainOf(region)}`;
}

/**
 * The name of the service in a host, and in that of its interface endpoint
 * (com.amazonaws.REGION.NAME).
 */
export function prefixOf(service: string): string {
  return prefixes[service] ?? service.toLowerCase();
}

function domainOf(region: string): string {
  return region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
}

/**
 * Every message about OpsWorks's endpoint uses this text. AWS's own endpoint no longer resolves.
 */
export const opsworksRetired =
  'OpsWorks Stacks retired on 26 May 2024: set AWS_ENDPOINT_URL_OPSWORKS to a compatible endpoint, or choose registrar ssm';

/** True for AWS's own host of a service that AWS has switched off. */
export function isRetired(service: string, host: string): boolean {
  return service === 'OPSWORKS' && /\.(amazonaws\.com(\.cn)?|api\.aws)$/.test(host);
}
