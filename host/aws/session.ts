/** What the clients of all services share: who asks, with which credentials, how long, where. */

import type { Identity } from '../../core/identity.ts';
import type { Environment } from '../environment.ts';
import type { Credentials } from './credentials.ts';
import type { Ask } from './fault.ts';

export interface Session {
  identity: Identity;
  ask: Ask;
  /** For the client of one service: its name as in AWS_ENDPOINT_URL_NAME, its region where it is not the instance's. */
  settings(service: string, region?: string): ClientSettings;
}

/** A second try at once mends a kept connection that the other side has closed; all further patience is ours, where it is counted and logged. */
const maxAttempts = 2;

/** Far more than a connection needs to be opened anew, far less than anybody notices. */
const secondTryWithinMs = 100;

/**
 * The SDK's second try, for a node: none where AWS says that it is asked too fast. A limit that a whole fleet shares is not there
 * again a moment later, and each node that asked twice kept another from being heard.
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

/** Connecting within a region takes some ms; three seconds are two lost SYN packets. */
const connectionTimeout = 3_000;

/** The slowest call that a node makes (a page of a thousand-node cluster) takes about two. */
const requestTimeout = 10_000;

export type ClientSettings = ReturnType<typeof clientSettings> & { retryStrategy?: typeof secondTry };

export function clientSettings(
  environment: Environment,
  credentials: () => Promise<Credentials>,
  service: string,
  region: string,
) {
  const endpoint = environment[`AWS_ENDPOINT_URL_${service}`] || environment['AWS_ENDPOINT_URL'];
  return {
    region,
    credentials,
    maxAttempts,
    requestHandler: {
      connectionTimeout,
      requestTimeout,
      throwOnRequestTimeout: true,
      // For a body that stops in the middle, which the request's time-out no longer sees.
      socketTimeout: requestTimeout,
    },
    // All said here, or the SDK would go and read root's ~/.aws/config for it.
    retryMode: 'standard',
    defaultsMode: 'standard' as const,
    useFipsEndpoint: environment['AWS_USE_FIPS_ENDPOINT'] === 'true',
    useDualstackEndpoint: environment['AWS_USE_DUALSTACK_ENDPOINT'] === 'true',
    authSchemePreference: [],
    userAgentAppId: 'ecs-node',
    ...(endpoint && { endpoint }),
  };
}
