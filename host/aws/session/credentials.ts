/**
 * The instance's own credentials, from IMDSv2 only. For a person who runs a command elsewhere,
 * those in the environment.
 */

import { Unavailable } from '../../../core/errors.ts';
import { isObject } from '../../../core/shape.ts';
import { openClock } from '../../clock.ts';
import type { Environment } from '../../environment.ts';
import { openMetadataReader, type ReadMetadata } from '../../metadata/imds-reader.ts';

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  expiration?: Date;
}

/**
 * Credentials are read again this long before they expire. AWS provides the next ones some minutes
 * before.
 */
const renewMs = 300_000;

/** All callers share one reading. The time-outs of its requests end it (imds-reader.ts). */
const neverAborted = new AbortController().signal;

/** For a node, which may only act with its own role. */
export function openCredentials(environment: Environment, now: () => number): () => Promise<Credentials> {
  const given = parseCredentials(environment);
  if (given) return async () => given;
  const read = openMetadataReader(environment, openClock());
  return keepCredentials(async () => readRoleCredentials(read, neverAborted), now);
}

/**
 * One reading for all clients: otherwise each client would ask the metadata service three times.
 */
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

/** Undefined when the environment has none. */
export function parseCredentials(environment: Environment): Credentials | undefined {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = environment;
  const sessionToken = environment['AWS_SESSION_TOKEN'];
  if (!accessKeyId || !secretAccessKey) return undefined;
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) };
}

const roleName = /^[\w+=,.@-]{1,128}$/;

const folder = 'meta-data/iam/security-credentials/';

/**
 * Throws Unavailable with the reason. No such reason ends a node, since each can be fixed while the
 * node waits.
 */
export async function readRoleCredentials(read: ReadMetadata, signal: AbortSignal): Promise<Credentials> {
  const text = async (path: string) => {
    const body = await read(path, signal);
    return body === undefined ? undefined : Buffer.from(body).toString();
  };
  const role = (await text(folder))?.trim().split(/\s/)[0];
  if (!role) {
    throw new Unavailable('no credentials: this instance has no instance profile, or the profile has no role');
  }
  if (!roleName.test(role))
    throw new Unavailable(`no credentials: instance metadata name a role ${JSON.stringify(role.slice(0, 60))}`);
  const answer = await text(`${folder}${role}`);
  if (answer === undefined) throw new Unavailable(`no credentials yet for the role ${role}`);
  return parseRoleCredentials(answer, role);
}

export function parseRoleCredentials(text: string, role: string): Credentials {
  const fields = parseObject(text);
  const { Code: code, AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, Token: sessionToken } = fields;
  if (code !== undefined && code !== 'Success') throw new Unavailable(tellCode(code, fields['Message'], role));
  const isWhole = [accessKeyId, secretAccessKey, sessionToken].every((field) => typeof field === 'string' && field);
  const expiration = new Date(String(fields['Expiration']));
  if (!isWhole || Number.isNaN(expiration.getTime())) {
    throw new Unavailable(`no credentials: instance metadata give none for the role ${role} that make sense`);
  }
  return {
    accessKeyId: accessKeyId as string,
    secretAccessKey: secretAccessKey as string,
    sessionToken: sessionToken as string,
    expiration,
  };
}

/** The service answers with status 200, and explains in the body why it has no credentials. */
function tellCode(code: unknown, message: unknown, role: string): string {
  if (code === 'AssumeRoleUnauthorizedAccess') {
    return `no credentials: EC2 may not assume the role ${role} (${code}): its trust policy does not let ec2.amazonaws.com call sts:AssumeRole, or the role was deleted and made anew`;
  }
  const said = typeof message === 'string' && message !== '' ? `: ${message.slice(0, 200)}` : '';
  return `no credentials for the role ${role}: instance metadata say ${JSON.stringify(code).slice(0, 100)}${said}`;
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text) as unknown;
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
