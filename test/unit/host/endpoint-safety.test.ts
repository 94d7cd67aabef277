import { expect, test } from 'vitest';
import { parseConfig } from '../../../config/config.ts';
import { ConfigError } from '../../../core/errors.ts';
import { openLog } from '../../../core/log.ts';
import { openCloud } from '../../../host/aws/open.ts';
import { openChildCloud } from '../../../host/aws/child/child-cloud.ts';
import { openFleetSession } from '../../../host/aws/session/fleet-session.ts';
import { readEndpoints } from '../../../host/metadata/imds-reader.ts';
import { mustBeSafeEndpoints } from '../../../host/http/endpoint-safety.ts';
import { someIdentity } from '../../fakes/metadata.ts';

const log = openLog(() => {}, Date.now);

function failureOf(work: () => unknown): ConfigError {
  try {
    work();
  } catch (error) {
    if (error instanceof ConfigError) return error;
  }
  return expect.unreachable('it was accepted');
}

test.each([
  ['https://ec2.us-east-1.amazonaws.com'],
  ['https://vpce-1.ec2.us-east-1.vpce.amazonaws.com'],
  ['http://127.0.0.1:4566'],
  ['http://127.9.9.9'],
  ['http://localhost:4566/path'],
  ['http://[::1]:4566'],
  [''],
])('the endpoint %j is accepted', (url) => {
  expect(() => mustBeSafeEndpoints({ AWS_ENDPOINT_URL: url })).not.toThrow();
});

test.each([
  ['http://ec2.us-east-1.amazonaws.com'],
  ['http://10.0.0.1'],
  ['http://169.254.169.254'],
  ['http://127.0.0.1.example.com'],
  ['http://localhost.example.com'],
  ['http://127.0.0.1@example.com'],
  ['http://2130706433.example.com'],
  ['file:///tmp/socket'],
  ['ftp://127.0.0.1'],
  ['127.0.0.1:4566'],
])('an endpoint without TLS outside this machine is refused: %s', (url) => {
  expect(() => mustBeSafeEndpoints({ AWS_ENDPOINT_URL_EC2: url })).toThrow(
    /AWS_ENDPOINT_URL_EC2: must be an https URL/,
  );
});

test('every unsafe endpoint is named at once, without its password', () => {
  const environment = {
    AWS_ENDPOINT_URL: 'http://user:hunter2@10.0.0.1/',
    AWS_ENDPOINT_URL_ECS: 'http://b',
    AWS_REGION: 'http://c',
  };
  for (const open of [
    () => mustBeSafeEndpoints(environment),
    () => openCloud(someIdentity, environment, log),
    () => openChildCloud('/no/such/program', [], environment, log),
    () => openFleetSession('us-east-1', environment, log),
  ]) {
    const failure = failureOf(open);
    expect(failure.faults.map(({ path }) => path)).toEqual(['AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_ECS']);
    expect(failure.message).not.toContain('hunter2');
  }
});

test('the metadata service is accepted on this machine or its link only', () => {
  const endpoint = (url: string) => readEndpoints({ AWS_EC2_METADATA_SERVICE_ENDPOINT: url })[0]!;
  for (const url of [
    'http://169.254.169.254',
    'http://[fd00:ec2::254]',
    'http://127.0.0.1:1338',
    'http://[::1]:1338',
  ]) {
    expect(endpoint(url).href).toBe(`${url}/`);
  }
  for (const url of [
    'http://10.0.0.1',
    'http://169.254.169.254.example.com',
    'http://example.com',
    'https://169.254.169.254',
  ]) {
    expect(() => endpoint(url)).toThrow(/must be an http URL on loopback or a link-local address/);
  }
});

test('the ECS agent is accepted on this machine only', () => {
  const given = (introspectionEndpoint: string) => parseConfig({ cluster: 'demo', ecs: { introspectionEndpoint } });
  expect(given('http://127.0.0.1:51678').ecs.introspectionEndpoint).toBe('http://127.0.0.1:51678');
  for (const url of [
    'http://10.0.0.1:51678',
    'http://127.0.0.1.example.com',
    'https://127.0.0.1',
    'http://127.0.0.1@example.com/',
  ]) {
    expect(() => given(url)).toThrow('must be an http URL on loopback');
  }
});
