/** The instance's own credentials, from IMDSv2 only; or those in the environment, for a person who runs a command elsewhere. */

import { fromInstanceMetadata } from '@aws-sdk/credential-providers';
import type { Environment } from '../environment.ts';

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  expiration?: Date;
}

/** Asked for anew so long before they end. AWS has the next ones ready some minutes before. */
const renewMs = 300_000;

/** As the metadata client's own (host/imds.ts). */
const timeout = 2_000;

/** For a node, whose role is the only one that it should speak for. */
export function openCredentials(environment: Environment, now: () => number): () => Promise<Credentials> {
  const given = parseCredentials(environment);
  if (given) return async () => given;
  return keepCredentials(fromInstanceMetadata({ timeout, maxRetries: 1, ec2MetadataV1Disabled: true }), now);
}

/** One reading for all clients: each would otherwise ask the metadata service three times. */
export function keepCredentials(provide: () => Promise<Credentials>, now: () => number): () => Promise<Credentials> {
  let kept: Promise<Credentials> | undefined;
  let until = Infinity;
  const read = async (): Promise<Credentials> => {
    try {
      const credentials = await provide();
      until = (credentials.expiration?.getTime() ?? Infinity) - renewMs;
      return credentials;
    } catch (error) {
      kept = undefined;
      throw error;
    }
  };
  return async () => {
    if (kept === undefined || now() >= until) {
      until = Infinity;
      kept = read();
    }
    return await kept;
  };
}

/** Undefined where the environment names none. */
export function parseCredentials(environment: Environment): Credentials | undefined {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = environment;
  const sessionToken = environment['AWS_SESSION_TOKEN'];
  if (!accessKeyId || !secretAccessKey) return undefined;
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) };
}
