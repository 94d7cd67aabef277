/** Holds the shared parts of all clients: identity, credentials, retries, endpoints. */

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
   * Settings for the client of one service, by its name in AWS_ENDPOINT_URL_NAME. Default region:
   * the instance's.
   */
  settings(service: string, region?: string): ClientSettings;
}

/**
 * An immediate second try covers a kept connection that AWS has closed. core/retry.ts does all
 * further retries, and counts and logs them.
 */
const maxAttempts = 2;

/** Opening a connection takes some ms. */
const secondTryWithinMs = 100;

/**
 * The SDK's second try, for a node. A throttled call gets none: a whole fleet shares the limit, so
 * each second try would take another node's turn.
 */
export const secondTry = {
  acquireInitialRetryToken: async () => tryNumber(0),
  async refreshRetryTokenForRetry({ getRetryCount }: RetryToken, { errorType }: { errorType: string }) {
    // The SDK drops this error and throws the error of the call.
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

/** Never throws: a wrong endpoint or proxy was refused when the network was opened. */
export function clientSettings({ network, credentials, service, region }: ClientWish) {
  const { environment } = network;
  const endpoint = environment[`AWS_ENDPOINT_URL_${service}`] || environment['AWS_ENDPOINT_URL'];
  return {
    region,
    credentials,
    maxAttempts,
    requestHandler: new Transport(network, service),
    // Without these the SDK reads root's ~/.aws/config.
    retryMode: 'standard',
    defaultsMode: 'standard' as const,
    authSchemePreference: [],
    userAgentAppId: 'ecs-node',
    // The SDK refuses each of them together with an endpoint.
    useFipsEndpoint: !endpoint && environment['AWS_USE_FIPS_ENDPOINT'] === 'true',
    useDualstackEndpoint: endpoint ? false : async () => network.needsDualStack(hostOf(service, region)),
    ...(endpoint && { endpoint }),
  };
}
