/**
 * Opens AWS for a whole fleet, from anywhere: for a person, a node or a Lambda function. It belongs
 * to no instance.
 */

import type { Log } from '../../../core/log.ts';
import type { Environment } from '../../environment.ts';
import { mustBeSafeEndpoints } from '../../http/endpoint-safety.ts';
import { openNetwork, type Network } from '../../network/network.ts';
import { keepCredentials, parseCredentials, type Credentials } from './credentials.ts';
import { openAwsCall } from '../fault.ts';
import { clientSettings, type Session } from './session.ts';

export type FleetSession = Pick<Session, 'callAws'> & {
  /** For the client of one service: its name as in AWS_ENDPOINT_URL_NAME. */
  settings(service: string, region?: string): ReturnType<typeof clientSettings>;
};

/** Throws a ConfigError when the environment names an endpoint that cannot be trusted. */
export function openFleetSession(region: string, environment: Environment, log: Log): FleetSession {
  mustBeSafeEndpoints(environment);
  const network = openNetwork(environment);
  const credentials = openAnyCredentials(network);
  return {
    callAws: openAwsCall('of the person or function that runs this', log),
    settings: (service, other = region) => clientSettings({ network, credentials, service, region: other }),
  };
}

/** Loads the code for profiles and web identities only if the environment holds no keys. */
function openAnyCredentials(network: Network): () => Promise<Credentials> {
  const given = parseCredentials(network.environment);
  if (given) return async () => given;
  return keepCredentials(async () => {
    const { readPersonalCredentials } = await import('./personal-credentials.ts');
    return readPersonalCredentials(network);
  }, Date.now);
}
