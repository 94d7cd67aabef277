/**
 * Checks and renders the values of `ecs.settings`. Two programs read /etc/ecs/ecs.config. ecs-init
 * reads it line by line, and passes each value to the ECS agent unchanged. systemd reads it as an
 * EnvironmentFile for ecs-init itself.
 */

import { parse } from 'yaml';
import { isSecretName, redact } from '../core/secrets.ts';

/** The ECS agent's own parser of a setting that holds JSON (agent/config/parse.go of 1.105). */
interface JsonSetting {
  /** For messages, after "must be". */
  words: string;
  example: string;
  /**
   * The value as the agent needs it. Undefined when no such value can be made. YAML texts become
   * numbers where needed.
   */
  read(value: unknown): unknown;
}

const textMap: JsonSetting = {
  words: 'a JSON object of texts',
  example: '{"rack":"a"}',
  read: (value) =>
    isMap(value) && Object.values(value).every(isScalar)
      ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, textOf(each)]))
      : undefined,
};

const ports: JsonSetting = {
  words: 'a JSON list of port numbers',
  example: '[22,2375]',
  read: (value) =>
    readList(value, (each) => (/^\d{1,5}$/.test(each) && Number(each) < 65_536 ? Number(each) : undefined)),
};

const texts: JsonSetting = {
  words: 'a JSON list of texts',
  example: '["efsAuth"]',
  read: (value) => readList(value, (each) => each),
};

const cidrs: JsonSetting = {
  words: 'a JSON list of address ranges',
  example: '["10.0.0.0/8"]',
  read: (value) => readList(value, (each) => (/^[0-9a-f:.]+\/\d{1,3}$/i.test(each) ? each : undefined)),
};

/**
 * The agent exits at once when it finds another name here (agent/dockerclient/logging_drivers.go).
 */
const drivers = 'json-file syslog journald gelf fluentd awslogs splunk logentries sumologic none awsfirelens'.split(
  ' ',
);

const loggingDrivers: JsonSetting = {
  words: `a JSON list of the log drivers ${drivers.join(', ')}`,
  example: '["json-file","awslogs"]',
  read: (value) => readList(value, (each) => (drivers.includes(each) ? each : undefined)),
};

const credentials: JsonSetting = {
  words: 'a JSON object',
  example: '{"https://index.docker.io/v1/":{"auth":"…"}}',
  read: (value) => (isMap(value) ? value : undefined),
};

const jsonSettings = new Map<string, JsonSetting>([
  ['ECS_INSTANCE_ATTRIBUTES', textMap],
  ['ECS_CONTAINER_INSTANCE_TAGS', textMap],
  ['ECS_AWSVPC_ADDITIONAL_LOCAL_ROUTES', cidrs],
  ['ECS_AVAILABLE_LOGGING_DRIVERS', loggingDrivers],
  ['ECS_RESERVED_PORTS', ports],
  ['ECS_RESERVED_PORTS_UDP', ports],
  ['ECS_VOLUME_PLUGIN_CAPABILITIES', texts],
  ['ECS_ENGINE_AUTH_DATA', credentials],
]);

/**
 * The text for ecs.config, or a sentence about the fault. `value` comes from YAML: text, number,
 * list, section.
 */
export function readEcsValue(name: string, value: unknown): { text: string } | { problem: string } {
  const json = jsonSettings.get(name);
  const text = json === undefined || value === '' ? renderScalar(name, value) : readJson(name, json, value);
  if ('problem' in text) return text;
  const problem = faultOfValue(text.text);
  return problem === undefined ? text : { problem };
}

function renderScalar(name: string, value: unknown): { text: string } | { problem: string } {
  if (isScalar(value) && value !== null) return { text: String(value) };
  const line = `${name}: ${isSecretName(name) ? '…' : quote(redact(JSON.stringify(value)))}`;
  return { problem: `must be text, a number, or true or false; where the ECS agent expects JSON, write ${line}` };
}

/**
 * The agent refuses JSON of another type. For some settings it exits at each start. It ignores the
 * others.
 */
function readJson(name: string, json: JsonSetting, value: unknown): { text: string } | { problem: string } {
  if (typeof value !== 'string') {
    const read = json.read(value);
    if (read !== undefined) return { text: JSON.stringify(read) };
    return { problem: `must be ${json.words}, such as ${name}: ${quote(json.example)}` };
  }
  // The agent ignores a credential that it cannot read, and older files may hold anything.
  if (json === credentials) return { text: value };
  const given = attempt(() => JSON.parse(value) as unknown);
  if (given === null || (given !== undefined && isSame(json.read(given), given))) return { text: value };
  // YAML often shows the intention: keys without quotes, numbers in place of texts. They keep their
  // spelling: `1.10` is not `1.1`.
  const parsed = attempt(() => parse(value, { schema: 'failsafe', customTags: ['null'] }) as unknown) ?? given;
  const meant = json.read(parsed) ?? json.read([parsed]);
  const line = meant === undefined ? json.example : JSON.stringify(meant);
  return { problem: `must be ${json.words}; write ${name}: ${quote(redact(line))}` };
}

/**
 * The reason for which the ECS agent would not get this value unchanged. Undefined for a good
 * value.
 */
export function faultOfValue(value: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value)) return 'must be one line without control characters';
  if (/^\s|\s$/.test(value)) return 'must not begin or end with white space';
  if (/^["']/.test(value)) return 'must not begin with a quote: systemd would remove it and ecs-init would not';
  if (value.endsWith('\\')) return 'must not end with a backslash: systemd would append the next line to it';
  return undefined;
}

function readList<T>(value: unknown, read: (text: string) => T | undefined): T[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const list = value.map((each: unknown) => (isScalar(each) && each !== null ? read(String(each)) : undefined));
  return list.every((each) => each !== undefined) ? list : undefined;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The agent takes null for an empty text. */
function textOf(value: unknown): string | null {
  return isScalar(value) && value !== null ? String(value) : null;
}

function isScalar(value: unknown): value is string | number | boolean | null {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

/** As YAML. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
