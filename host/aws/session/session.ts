/** What the clients of all services share: who asks, with which credentials, how long, where. */

import type { Identity } from '../../../core/identity.ts';
import type { Network } from '../../network/network.ts';
import type { Credentials } from './credentials.ts';
import { hostOf } from './endpoints.ts';
import type { AwsCall } from '../fault.ts';
import { Transport } from './transport.ts';

export interface Session {
  identity: Identity;
  callAws: AwsCall;
  /**
   * For the client of one service: its name as in AWS_ENDPOINT_URL_NAME, its region where it is not
   * the instance's.
   */
  settings(service: string, region?: string): ClientSettings;
}

/**
 * A second try at once mends a kept connection that the other side has closed; all further patience
 * is ours, where it is counted and logged.
 */
const maxAttempts = 2;

/** Far more than a connection needs to be opened anew, far less than anybody notices. */
const secondTryWithinMs = 100;

/**
 * The SDK's second try, for a node: none where AWS says that it is asked too fast. A limit that a
 * whole fleet shares is not there again a moment later, and each node that asked twice kept another
 * from being heard.
 */
export const secondTry = {
  acquireInitialRetryToken: async () => tryNumber(0),
  async refreshRetryTokenForRetry({ getRetryCount }: RetryToken, { errorType }: { errorType: string }) {
    // Thrown away by the SDK, which ends with the call's own error.
    if (errorType !== 'TRANSIENT' || getRetryCount() + 1 >= maxAttempts) throw new Error('no second try');
    return tryNumber(1);
  },
  recordSuccess() {},
};

type RetryToken = ReturnType<typeof tryNumber>;

function tryNumber(count: number) {
  return {
    getRetryCount: () => count,
    getRetryCost: () => undefined,
    getRetryDelay: () => Math.random() * secondTryWithinMs,
  };
}

export type ClientSettings = ReturnType<typeof clientSettings> & { retryStrategy?: typeof secondTry };

export interface ClientWish {
  network: Network;
  credentials: () => Promise<Credentials>;
  /** As in AWS_ENDPOINT_URL_NAME. */
  service: string;
  region: string;
}

/** Throws nothing: a wrong endpoint or proxy was refused when the network was opened. */
export function clientSettings({ network, credentials, service, region }: ClientWish) {
  const { environment } = network;
  const endpoint = environment[`AWS_ENDPOINT_URL_${service}`] || environment['AWS_ENDPOINT_URL'];
  return {
    region,
    credentials,
    maxAttempts,
    requestHandler: new Transport(network, service),
    // All said here, or the SDK would go and read root's ~/.aws/config for it.
    retryMode: 'standard',
    defaultsMode: 'standard' as const,
    authSchemePreference: [],
    userAgentAppId: 'ecs-node',
    // An endpoint that is given is the whole truth: the SDK refuses it together with one of these.
    useFipsEndpoint: !endpoint && environment['AWS_USE_FIPS_ENDPOINT'] === 'true',
    useDualstackEndpoint: endpoint ? false : async () => network.needsDualStack(hostOf(service, region)),
    ...(endpoint && { endpoint }),
  };
}
