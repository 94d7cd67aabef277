/**
 * Renders the facts that containers may know about their node, for a shell to source and as JSON.
 * Pure.
 */

import type { Identity } from '../core/identity.ts';
import { groupTag } from './group-tag.ts';

export interface NodeFacts {
  identity: Identity;
  cluster: string;
  tags: Readonly<Record<string, string>>;
  /** `none`: neither source let the node read its tags. */
  tagsFrom: 'metadata' | 'ec2' | 'none';
}

/** A tag that has no variable: it is only in the JSON file. */
export interface LeftOut {
  key: string;
  why: string;
}

/** With this prefix no tag can become PATH, IFS or LD_PRELOAD. */
const prefix = 'ECS_NODE_';

function standardVariables({ identity, cluster, tags }: NodeFacts): Record<string, string | undefined> {
  return {
    ECS_NODE_INSTANCE_ID: identity.instanceId,
    ECS_NODE_INSTANCE_TYPE: identity.instanceType,
    ECS_NODE_IMAGE_ID: identity.imageId,
    ECS_NODE_ARCHITECTURE: identity.architecture,
    ECS_NODE_ZONE: identity.zone,
    ECS_NODE_REGION: identity.region,
    ECS_NODE_ACCOUNT_ID: identity.accountId,
    ECS_NODE_PRIVATE_IP: identity.privateIp,
    ECS_NODE_HOSTNAME: identity.hostname,
    ECS_NODE_PURCHASE: identity.purchase,
    ECS_NODE_CLUSTER: cluster,
    ECS_NODE_GROUP: ownValue(tags, groupTag),
  };
}

/** Every variable in order, and the tags without a variable. */
export function variablesOf(facts: NodeFacts): { variables: [name: string, value: string][]; leftOut: LeftOut[] } {
  const keys = Object.keys(facts.tags).toSorted();
  const wishes = new Map<string, string[]>();
  for (const key of keys) wishes.set(nameOf(key), [...(wishes.get(nameOf(key)) ?? []), key]);
  const leftOut: LeftOut[] = [];
  const variables = Object.entries(standardVariables(facts)).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, value]],
  );
  for (const key of keys) {
    const name = nameOf(key);
    const rivals = wishes.get(name)!;
    const value = facts.tags[key]!;
    // Several keys may give one name. The key that needed no replacement gets the variable. Among
    // other keys no choice is right, so none gets it.
    const isOwner = rivals.length === 1 || isName(key);
    if (!isOwner) leftOut.push({ key, why: `${rivals.length} tags would be ${name}` });
    else if (value.includes('\0')) leftOut.push({ key, why: 'its value has a NUL, which no variable can hold' });
    else variables.push([name, value]);
  }
  return { variables, leftOut };
}

function nameOf(key: string): string {
  return `${prefix}TAG_${key.replaceAll(/[^A-Za-z0-9_]/gu, '_')}`;
}

function isName(key: string): boolean {
  return /^[A-Za-z0-9_]+$/.test(key);
}

const header = `# Written by ecs-node and kept up to date; changes are lost. node.json beside it says the same as JSON.
# In a shell: ". /etc/container_config/node.config" ("set -a" before it exports). For docker --env-file, too, which
# knows no quotes: there, quoted values keep them. Mount the folder, not the file: a new version is a new file.
`;

/**
 * For POSIX sh. Each variable is one line whatever its value, so that no value can imitate another
 * line for a program that reads lines.
 */
export function renderShell(facts: NodeFacts): string {
  const { variables, leftOut } = variablesOf(facts);
  const told = leftOut.map(({ key, why }) => `# Left out: tag ${JSON.stringify(key)}: ${why}.\n`);
  const from = {
    metadata: '',
    ec2: '# The tags come from EC2: the metadata option InstanceMetadataTags is off.\n',
    none: '# Tags are missing: InstanceMetadataTags is off, and ec2:DescribeTags is not allowed.\n',
  }[facts.tagsFrom];
  return header + from + told.join('') + variables.map(([name, value]) => renderAssignment(name, value)).join('');
}

function renderAssignment(name: string, value: string): string {
  const lines = value.split('\n');
  if (lines.length === 1) return `${name}=${quote(value)}\n`;
  // Command substitution removes final line breaks. The x keeps them.
  const words = lines.map((line, index) => quote(index === lines.length - 1 ? `${line}x` : line, true));
  return `${name}=$(printf '%s\\n' ${words.join(' ')}); ${name}=\${${name}%x}\n`;
}

/**
 * Without quotes if the text needs none: `docker --env-file` would read them as part of the value.
 */
function quote(text: string, asWord = false): string {
  if (/^[A-Za-z0-9_./:@%+,=-]*$/.test(text) && !(asWord && text === '')) return text;
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

export function renderJson(facts: NodeFacts): string {
  const { identity, cluster, tags, tagsFrom } = facts;
  const { role: _role, ...known } = identity;
  const group = ownValue(tags, groupTag);
  const sorted = Object.fromEntries(Object.entries(tags).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return `${JSON.stringify({ ...known, cluster, ...(group !== undefined && { group }), tags: sorted, tagsFrom }, undefined, 2)}\n`;
}

function ownValue(tags: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(tags, key) ? tags[key] : undefined;
}
