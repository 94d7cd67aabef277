/** Turns merged settings into a frozen configuration, or reports every fault in them at once. */

import type * as z from 'zod';
import { ConfigError, type Fault } from '../core/errors.ts';
import { registrarTraits } from '../core/state/state.ts';
import { faultOfName, faultsOf, isTextAt, settingsBelow } from './faults.ts';
import { schema } from './schema.ts';

type Output = z.output<typeof schema>;
type HookNames = Record<'launchHook' | 'terminateHook', string | undefined>;

/** The settings to which `settle` gives another type than the schema does. */
interface Settled {
  terminationProtection: NonNullable<Output['terminationProtection']>;
  autoScaling: Omit<Output['autoScaling'], keyof HookNames> & HookNames;
}

/** A valid configuration. Durations are seconds and shares are percent, as their names say. */
export type Config = Omit<Output, keyof Settled> & Settled;

/** A person fixes no more faults in one go. The next check reports the rest. */
const maxFaults = 100;

/**
 * One process parses once. Compiling the schema to JavaScript first would take three times as long
 * as that parse.
 */
const readOnce = { jitless: true };

/**
 * Turns merged settings into a frozen Config, or throws a ConfigError with every fault at once.
 * `sourceOf` names the file, tag or flag a dotted path came from.
 */
export function parseConfig(
  settings: unknown,
  sourceOf: (path: string) => string | undefined = () => undefined,
): Config {
  const result = schema.safeParse(settings, readOnce);
  const faults = result.success
    ? crossFaults(result.data)
    : [...faultsOf(result.error.issues, schema, settings), ...crossFaultsDespite(result.error.issues, settings)];
  if (faults.length > 0 || !result.success)
    throw new ConfigError(faults.slice(0, maxFaults).map((fault) => withSource(fault, sourceOf)));
  return deepFreeze(settle(result.data));
}

/**
 * As `parseConfig`, without the entries of lists that are refused. An older version may have
 * accepted them, such as the ARN of a load balancer among target groups, and a node that was in
 * service must not stay out of it for that.
 */
export function parseWithoutEntries(
  settings: unknown,
  sourceOf?: (path: string) => string | undefined,
): { config: Config; leftOut: readonly Fault[] } {
  try {
    return { config: parseConfig(settings, sourceOf), leftOut: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const rest = structuredClone(settings);
    // Another source may still supply a missing setting.
    const refused = new Set(error.faults.filter(({ missing }) => missing !== true).map(({ path }) => path));
    // From the last entry of a list to its first, so that the others keep their places.
    if (![...refused].toReversed().every((path) => removeEntry(rest, path.split('.')))) throw error;
    return { config: parseConfig(rest, sourceOf), leftOut: error.faults };
  }
}

/** False: the path does not name an entry of a list. */
function removeEntry(settings: unknown, path: readonly string[]): boolean {
  const list = path.slice(0, -1).reduce<unknown>((section, key) => sectionAt(section, key), settings);
  const index = Number(path.at(-1));
  return Array.isArray(list) && Number.isInteger(index) && list.splice(index, 1).length === 1;
}

function sectionAt(section: unknown, key: string): unknown {
  return typeof section === 'object' && section !== null ? (section as Record<string, unknown>)[key] : undefined;
}

/** Defaults that depend on other settings. */
function settle(data: z.output<typeof schema>): Config {
  // Where no registrar turns it on, a person turned it on and wants it.
  const whenUnset = registrarTraits[data.registrar].protectsInstances ? 'clear' : 'keep';
  const { launchHook, terminateHook } = data.autoScaling;
  return {
    ...data,
    terminationProtection: data.terminationProtection ?? whenUnset,
    // An empty name is none.
    autoScaling: {
      ...data.autoScaling,
      launchHook: launchHook || undefined,
      terminateHook: terminateHook || undefined,
    },
  };
}

/** True for a path at which further settings lie, such as `disk`. */
export function isSection(path: readonly string[]): boolean {
  return settingsBelow(schema, path).length > 0;
}

/**
 * True for a path whose value is text: YAML must not turn `012` or `1.10` into another number
 * there.
 */
export function isText(path: readonly string[]): boolean {
  const [section, inner, name] = path;
  // Also inside of a map or a list, which becomes JSON (ecs-value.ts).
  if (section === 'ecs' && inner === 'settings') return name !== undefined;
  return isTextAt(schema, path);
}

/** The fault of a rule that looks at several settings. `involves` names them all. */
interface CrossFault extends Fault {
  involves: readonly string[];
}

function crossFaults(config: z.output<typeof schema>): CrossFault[] {
  const faults: CrossFault[] = [];
  const { registrar, opsworks, disk, stormGuard, refresh } = config;
  if (registrar === 'opsworks') {
    for (const key of ['stack', 'layer'] as const) {
      const path = `opsworks.${key}`;
      const problem = `missing; registrar "opsworks" needs it (--opsworks-${key})`;
      if (opsworks[key] === undefined) faults.push({ path, problem, missing: true, involves: ['registrar', path] });
    }
  }
  const mustBeBelow = (path: string, value: number, limit: string, limitValue: number, orSame: boolean) => {
    if (value < limitValue || (orSame && value === limitValue)) return;
    const problem = `must ${orSame ? 'not be above' : 'be below'} ${limit} (${limitValue}); it is ${value}`;
    faults.push({ path, problem, involves: [path, limit] });
  };
  mustBeBelow('disk.clearPercent', disk.clearPercent, 'disk.fullPercent', disk.fullPercent, false);
  const { firstWaitSeconds, maxWaitSeconds } = stormGuard;
  mustBeBelow('stormGuard.firstWaitSeconds', firstWaitSeconds, 'stormGuard.maxWaitSeconds', maxWaitSeconds, true);
  for (const [index, name] of refresh.also.entries()) {
    const path = `refresh.also.${index}`;
    const problem = faultOfName(schema, name);
    if (problem !== undefined) faults.push({ path, problem, involves: [path] });
  }
  return faults;
}

/**
 * The settings from which `parseConfig` makes this configuration again. A hook that is switched off
 * is empty there: without the setting, the default hook would come back.
 */
export function settingsOf(config: Config): object {
  const { launchHook = '', terminateHook = '' } = config.autoScaling;
  return { ...config, autoScaling: { ...config.autoScaling, launchHook, terminateHook } };
}

/**
 * The same rules beside other faults. Broken values are left out, and so are the rules that compare
 * them.
 */
function crossFaultsDespite(issues: readonly z.core.$ZodIssue[], settings: unknown): CrossFault[] {
  const rest = structuredClone(settings);
  const broken = issues.flatMap((issue) => {
    const keys = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
    return keys.map((path) => cut(rest, path.map(String)));
  });
  const result = schema.safeParse(
    typeof rest === 'object' && rest !== null && !('cluster' in rest) ? { ...rest, cluster: 'any' } : rest,
    readOnce,
  );
  if (!result.success) return [];
  return crossFaults(result.data).filter(
    ({ involves }) => !involves.some((path) => broken.some((cutOff) => `${path}.`.startsWith(`${cutOff}.`))),
  );
}

/** Removes the setting at a path, or the whole list that contains it. Returns the removed path. */
function cut(settings: unknown, path: readonly string[]): string {
  let section = settings;
  for (const [depth, key] of path.entries()) {
    if (typeof section !== 'object' || section === null) break;
    const inner = (section as Record<string, unknown>)[key];
    if (depth === path.length - 1 || Array.isArray(inner)) {
      delete (section as Record<string, unknown>)[key];
      return path.slice(0, depth + 1).join('.');
    }
    section = inner;
  }
  return path.join('.');
}

/** Adds the source of the faulty value. For a default, it is the source of the other value. */
function withSource(
  { path, problem, missing, source, involves = [] }: Fault & Partial<CrossFault>,
  sourceOf: (path: string) => string | undefined,
): Fault {
  const from = missing ? undefined : (source ?? [path, ...involves].map(sourceOf).find((each) => each !== undefined));
  return { path, problem, ...(missing && { missing }), ...(from !== undefined && { source: from }) };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
