/** The hosts at which AWS's services are asked, by the names that AWS_ENDPOINT_URL_NAME uses. */

const prefixes: Readonly<Record<string, string>> = {
  APPLICATION_AUTO_SCALING: 'application-autoscaling',
  AUTO_SCALING: 'autoscaling',
  CLOUDWATCH: 'monitoring',
  EC2: 'ec2',
  ECS: 'ecs',
  ELASTIC_LOAD_BALANCING: 'elasticloadbalancing',
  ELASTIC_LOAD_BALANCING_V2: 'elasticloadbalancing',
  OPSWORKS: 'opsworks',
  S3: 's3',
  SSM: 'ssm',
};

/** The ordinary endpoint, by IPv4 or by an interface endpoint. */
export function hostOf(service: string, region: string): string {
  return `${prefixes[service] ?? service.toLowerCase()}.${region}.${domainOf(region)}`;
}

export function domainOf(region: string): string {
  return region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
}
