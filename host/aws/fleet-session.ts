/** AWS for a whole fleet, asked from anywhere: by a person, a node or a Lambda function. No instance is named by it. */

import type { Log } from '../../core/log.ts';
import type { Environment } from '../environment.ts';
import { openCredentials } from './credentials.ts';
import { openAsk } from './fault.ts';
import { clientSettings, type Session } from './session.ts';

export type FleetSession = Pick<Session, 'ask'> & {
  /** For the client of one service: its name as in AWS_ENDPOINT_URL_NAME. */
  settings(service: string, region?: string): ReturnType<typeof clientSettings>;
};

export function openFleetSession(region: string, environment: Environment, log: Log): FleetSession {
  const credentials = openCredentials(environment, Date.now);
  return {
    ask: openAsk('of whoever runs this', log),
    settings: (service, other = region) => clientSettings(environment, credentials, service, other),
  };
}
