/**
 * The environment of this process, together with the variables that an operator set for every
 * ecs-node on this machine.
 */

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { tellable } from '../core/secrets.ts';

/** The environment of a process. `process.env` is one. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * systemd reads it for both units (EnvironmentFile=). This file reads it for commands that a person
 * runs.
 */
export const environmentFile = '/etc/ecs-node/environment';

/** Variables for any program that downloads something. */
const downloadName =
  /^((https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY|AWS_CA_BUNDLE|SSL_CERT_FILE|SSL_CERT_DIR|CURL_CA_BUNDLE)$/;

/** Further variables about the way to AWS. They may be keys, so no other program gets them. */
const ownName = /^(AWS_\w+|NODE_EXTRA_CA_CERTS)$/;

/** A command takes only these names from the file. */
const isNetworkName = (name: string) => downloadName.test(name) || ownName.test(name);

/**
 * Adds the file's variables. Those of the process win. Adds nothing when the file is absent or may
 * not be read.
 */
export function withEnvironmentFile(environment: Environment, root: string): Environment {
  const text = readText(join(root, environmentFile));
  if (text === undefined) return environment;
  const entries = Object.entries(parseEnvironmentFile(text)).filter(([name]) => isNetworkName(name));
  const said = Object.fromEntries(entries);
  // Node.js reads this variable at its start, before this file was read.
  if (said['NODE_EXTRA_CA_CERTS'] && !environment['NODE_EXTRA_CA_CERTS'])
    said['AWS_CA_BUNDLE'] ??= said['NODE_EXTRA_CA_CERTS'];
  return { ...said, ...environment };
}

/**
 * The variables that a program needs to download something for the node, such as the OpsWorks
 * installer. curl reads all of them, Ruby all but ALL_PROXY and CURL_CA_BUNDLE.
 */
export function networkVariables(environment: Environment): Record<string, string> {
  const kept = Object.entries(environment).filter(([name, value]) => downloadName.test(name) && Boolean(value));
  const { AWS_CA_BUNDLE, NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, CURL_CA_BUNDLE } = environment;
  const file = SSL_CERT_FILE || AWS_CA_BUNDLE || NODE_EXTRA_CA_CERTS;
  const certificates = file ? { SSL_CERT_FILE: file, CURL_CA_BUNDLE: CURL_CA_BUNDLE || file } : {};
  return { ...Object.fromEntries(kept), ...certificates };
}

/** Network settings that can be wrong without an error. */
export interface NetworkSettings {
  usesProxy: boolean;
  /** HTTP_PROXY or ALL_PROXY without HTTPS_PROXY: the node uses none of them. */
  hasOnlyHttpProxy: boolean;
  /** Every user of this machine can read the password of the proxy. */
  exposesPassword: boolean;
}

const otherProxies = ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'];

export function readNetworkSettings(environment: Environment, root: string): NetworkSettings {
  const usesProxy = Boolean(environment['https_proxy'] || environment['HTTPS_PROXY']);
  const file = join(root, environmentFile);
  return {
    usesProxy,
    hasOnlyHttpProxy: !usesProxy && otherProxies.some((name) => Boolean(environment[name])),
    exposesPassword: isReadableByAll(file) && holdsSecret(parseEnvironmentFile(readText(file) ?? '')),
  };
}

function holdsSecret(found: Record<string, string>): boolean {
  return Object.entries(found).some(([name, value]) => tellable(name, value) !== value);
}

function isReadableByAll(file: string): boolean {
  try {
    return (statSync(file).mode & 0o004) !== 0;
  } catch {
    return false;
  }
}

/**
 * As systemd reads it: `NAME=value`, quotes around the whole value, `#` or `;` at the beginning of
 * a comment line.
 */
export function parseEnvironmentFile(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of text.replaceAll('\\\n', ' ').split('\n')) {
    const [, name, value = ''] = /^\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (name !== undefined) found[name] = unquote(value);
  }
  return found;
}

function unquote(value: string): string {
  const [, single, double] = /^(?:'([^']*)'|"((?:[^"\\]|\\.)*)")$/.exec(value) ?? [];
  if (single !== undefined) return single;
  return (double ?? value).replaceAll(/\\(.)/g, '$1');
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

export function isMissing(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) === undefined;
}

/** False also for a folder that does not exist yet. */
export function isOtherThanFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false;
}
