/** Turns the schema's issues into sentences about the setting and its allowed values. */

import type * as z from 'zod';
import type { Fault } from '../core/errors.ts';
import { closestMatch } from '../core/closest-match.ts';
import { hidden, isSecretName, redact } from '../core/secrets.ts';

type Issue = z.core.$ZodIssue;
type Node = z.core.$ZodType;
type Path = readonly PropertyKey[];

/** Every fault of a failed parse of `settings`. */
export function faultsOf(issues: readonly Issue[], schema: Node, settings: unknown): Fault[] {
  const wrongTypes = new Set(issues.filter(({ code }) => code === 'invalid_type').map(({ path }) => renderPath(path)));
  // Zod also compares the length of a text that stands in place of a list.
  const isRepeated = ({ code, path }: Issue) => code === 'too_big' && wrongTypes.has(renderPath(path));
  return issues.filter((issue) => !isRepeated(issue)).flatMap((issue) => faultsOfIssue(issue, schema, settings));
}

/** The names of the settings in the section at a path; empty where there is no section. */
export function settingsBelow(schema: Node, path: Path): string[] {
  const node = nodeAt(schema, path);
  return node !== undefined && isObject(node) ? Object.keys(node._zod.def.shape) : [];
}

/** The fault of a text that must name a setting. Below a map such as `ecs.settings`, all do. */
export function faultOfName(schema: Node, name: string): string | undefined {
  const path = name.split('.');
  const depth = path.findIndex((_, at) => nodeAt(schema, path.slice(0, at + 1)) === undefined);
  if (depth === -1) return undefined;
  const section = path.slice(0, depth);
  const closest = closestMatch(path[depth]!, settingsBelow(schema, section));
  const hint = closest === undefined ? '' : `; did you mean "${[...section, closest].join('.')}"?`;
  return `unknown setting "${name}"${hint}`;
}

/** True for a path whose value is text. */
export function isTextAt(schema: Node, path: Path): boolean {
  return nodeAt(schema, path)?._zod.def.type === 'string';
}

/** A setting of the ECS agent may be a password, and the whole section may contain one. */
function mustHide(path: Path): boolean {
  const [section, inner, name] = path.map(String);
  if (section !== 'ecs') return false;
  return inner === undefined || (inner === 'settings' && (name === undefined || isSecretName(name)));
}

function faultsOfIssue(issue: Issue, schema: Node, settings: unknown): Fault[] {
  const found = valueAt(settings, issue.path);
  const node = nodeAt(schema, issue.path);
  const path = renderPath(issue.path);
  const shown = mustHide(issue.path) ? hidden : renderFound(found);
  const mustBe = () => `must be ${node === undefined ? 'something else' : allowed(node)}; found ${shown}`;
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: renderPath([...issue.path, key]),
        problem:
          (issue.path.length === 0 && misplaced(key, schema)) || unknownKey(key, settingsBelow(schema, issue.path)),
      }));
    case 'invalid_union':
      return unionFaults(issue, node, path, found, shown);
    case 'invalid_key':
      return [{ path, problem: issue.issues[0]?.message ?? 'is not a possible name' }];
    case 'invalid_type':
      if (found === undefined) return [{ path, problem: missing(path), missing: true }];
      if (found === null) return [{ path, problem: `is empty; it must be ${node && allowed(node)}, or left out` }];
      return [{ path, problem: mustBe() + quoteHint(node, found, issue.path) }];
    case 'too_small':
    case 'too_big':
      return [{ path, problem: sizeProblem(issue, found) ?? mustBe() }];
    case 'invalid_value':
      return [{ path, problem: mustBe() + suggestion(node, found) }];
    case 'invalid_format':
    case 'invalid_element':
    case 'not_multiple_of':
    case 'custom':
      return [{ path, problem: `${issue.message}; found ${shown}` }];
  }
}

/** No shape of a union fits. Reports the faults of the shape whose required setting is present. */
function unionFaults(
  issue: z.core.$ZodIssueInvalidUnion,
  node: Node | undefined,
  path: string,
  found: unknown,
  shown: string,
): Fault[] {
  const options = node !== undefined && isUnion(node) ? node._zod.def.options : [];
  const objects = options.filter(isObject);
  if (node === undefined || objects.length === 0 || typeof found !== 'object' || found === null) {
    return [{ path, problem: `must be ${node && allowed(node)}; found ${shown}` }];
  }
  const meant = options.findIndex((option) => isObject(option) && requiredOf(option).some((key) => key in found));
  if (meant === -1) {
    const needed = objects.flatMap(requiredOf).map((key) => `"${key}"`);
    return [{ path, problem: `must have ${needed.join(' or ')}; found ${renderFound(found)}` }];
  }
  const option = options[meant]!;
  return faultsOf(issue.errors[meant] ?? [], option, found).map((fault) => ({
    ...fault,
    path: `${path}.${fault.path}`,
  }));
}

function requiredOf(node: ObjectNode): string[] {
  return Object.entries(node._zod.def.shape)
    .filter(([, inner]) => inner._zod.optin === undefined)
    .map(([key]) => key);
}

/** The allowed values in words, for "must be …". */
function allowed(node: Node): string {
  const inner = unwrap(node);
  if (isUnion(inner)) return [...new Set(inner._zod.def.options.map(allowed))].join(' or ');
  const words: Partial<Record<typeof inner._zod.def.type, () => string>> = {
    number: () => allowedNumber(inner as z.ZodNumber),
    boolean: () => 'true or false',
    string: () => 'text',
    enum: () => `one of ${Object.values((inner as z.ZodEnum)._zod.def.entries).join(', ')}`,
    array: () => 'a list, such as [a, b]',
    record: () => 'a section with lines such as NAME: value',
    object: () => `a section with ${settingsBelow(inner, []).join(', ')}`,
  };
  return words[inner._zod.def.type]?.() ?? inner._zod.def.type;
}

function allowedNumber(node: z.ZodNumber): string {
  const kind = /int/.test(node.format ?? '') ? 'a whole number' : 'a number';
  if (node.minValue === -Infinity) return kind;
  return `${kind} from ${node.minValue} to ${node.maxValue}`;
}

/** For lengths only. The message of a number has its whole range. */
function sizeProblem(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig, found: unknown): string | undefined {
  const [units, size] =
    issue.origin === 'string'
      ? ['characters', String(found).length]
      : issue.origin === 'array'
        ? ['entries', (found as unknown[]).length]
        : [];
  if (units === undefined) return undefined;
  if (issue.code === 'too_small')
    return size === 0 ? 'must not be empty' : `must have at least ${issue.minimum} ${units}`;
  return `must have at most ${issue.maximum} ${units}; found ${size}`;
}

function quoteHint(node: Node | undefined, found: unknown, path: Path): string {
  const wantsText = node !== undefined && unwrap(node)._zod.def.type === 'string';
  const placeholder = wantsText ? placeholderIn(found) : undefined;
  if (placeholder !== undefined)
    return `; text that begins with { needs quotes; write ${String(path.at(-1))}: "${placeholder}"`;
  const isScalar = typeof found === 'number' || typeof found === 'boolean';
  return wantsText && isScalar ? ` (in YAML, text that looks like that needs quotes: "${found}")` : '';
}

/** YAML reads `{cluster}` as a section with one empty setting. */
function placeholderIn(found: unknown): string | undefined {
  if (typeof found !== 'object' || found === null) return undefined;
  const [[key, value] = [], ...others] = Object.entries(found);
  return key !== undefined && value === null && others.length === 0 ? `{${key}}` : undefined;
}

function suggestion(node: Node | undefined, found: unknown): string {
  const inner = node && unwrap(node);
  if (typeof found !== 'string' || inner?._zod.def.type !== 'enum') return '';
  const closest = closestMatch(found, Object.values((inner as z.ZodEnum)._zod.def.entries).map(String));
  return closest === undefined ? '' : `; did you mean ${closest}?`;
}

function missing(path: string): string {
  const how = path === 'cluster' ? ' (--cluster NAME, or "cluster: NAME" in the configuration)' : '';
  return `missing; it is required${how}`;
}

/** A setting of a section at the top level: its indent is missing, or is of unusual blanks. */
function misplaced(key: string, schema: Node): string | undefined {
  const plain = key.replace(/^[\u00a0\u2007\u202f\u3000 ]+/, '');
  if (plain !== key) return 'unknown setting; a non-breaking blank stands before its name; type a plain blank';
  const sections = settingsBelow(schema, []).filter((section) => settingsBelow(schema, [section]).includes(key));
  if (sections.length === 0) return undefined;
  return sections.length === 1
    ? `unknown setting; it belongs to "${sections[0]}": indent it, or write ${sections[0]}.${key} in --set`
    : `unknown setting; it belongs to one of ${sections.join(', ')}: indent it below its section`;
}

function unknownKey(key: string, known: readonly string[]): string {
  const closest = closestMatch(key, known);
  return closest === undefined
    ? `unknown setting; known here are ${known.join(', ')}`
    : `unknown setting; did you mean "${closest}"?`;
}

function renderPath(path: Path): string {
  return path.map(String).join('.') || '(top level)';
}

/** The longest part of a value in a message: enough to recognise it. */
const longestFound = 100;

function renderFound(value: unknown): string {
  const text = redact(typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value)));
  return text.length > longestFound ? `${text.slice(0, longestFound)}…` : text;
}

function valueAt(settings: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, key)
        ? (value as Record<PropertyKey, unknown>)[key]
        : undefined,
    settings,
  );
}

// ---------------------------------------------------------------- walking a schema

type ObjectNode = Node & { _zod: { def: { shape: Record<string, Node> } } };
type UnionNode = Node & { _zod: { def: { options: Node[] } } };

function isObject(node: Node): node is ObjectNode {
  return node._zod.def.type === 'object';
}

function isUnion(node: Node): node is UnionNode {
  return node._zod.def.type === 'union';
}

function nodeAt(schema: Node, path: Path): Node | undefined {
  const node = path.reduce<Node | undefined>((at, key) => at && childOf(at, key), schema);
  return node && unwrap(node);
}

function childOf(node: Node, key: PropertyKey): Node | undefined {
  const inner = unwrap(node);
  if (isUnion(inner)) return inner._zod.def.options.map((option) => childOf(option, key)).find((each) => each);
  const { def } = inner._zod as unknown as {
    def: { shape?: Record<PropertyKey, Node>; element?: Node; valueType?: Node };
  };
  if (def.shape !== undefined) return Object.hasOwn(def.shape, key) ? def.shape[key] : undefined;
  return def.element ?? def.valueType;
}

/** The inner type, below defaults, optionality and transformations. */
function unwrap(node: Node): Node {
  const { innerType, in: input } = node._zod.def as unknown as { innerType?: Node; in?: Node };
  const inner = innerType ?? input;
  return inner === undefined ? node : unwrap(inner);
}
