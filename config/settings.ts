/**
 * Reads settings from YAML, tags and flags, and merges them by strength. Each value remembers its
 * source.
 */

import { isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, visit, type Document, type Node } from 'yaml';
import { isText } from './config.ts';
import { ConfigError, UsageError, messageOf } from '../core/errors.ts';
import { aliasWithoutAnchor, faultsOfYaml, withoutText } from './yaml-faults.ts';

export type Settings = Record<string, unknown>;

/** The settings of one source. */
export interface SettingsLayer {
  settings: Settings;
  /** The name of the source, with the line of the path where the source has lines. */
  sourceOf(path: readonly string[]): string;
}

export interface Merged {
  settings: Settings;
  /** The source of a dotted path; undefined for a default. */
  sourceOf(path: string): string | undefined;
}

/**
 * A configuration has some hundred lines, a few kilobytes. A longer text is a mistake, and the
 * parser's time grows with the square of its length.
 */
const maxCharacters = 65_536;
/** Aliases may stand for sections. More of them than this are the "billion laughs" attack. */
const maxAliases = 50;
/** The schema has five levels. */
const maxDepth = 20;
/**
 * A person fixes no more faults in one go. A broken text of a megabyte would produce eleven
 * megabytes of faults.
 */
const maxFaults = 50;
/** Comments may hold brackets, too. */
const maxOpen = 500;

/**
 * Reads YAML (JSON is YAML). Throws a ConfigError with every fault of the text, each with its line.
 */
export function parseLayer(text: string, source: string): SettingsLayer {
  const lines = new LineCounter();
  const document = readDocument(text, source, lines);
  keepAsWritten(document, []);
  const settings = toSettings(document, source);
  return {
    settings,
    sourceOf(path) {
      const at = offsetOf(document.contents, path);
      return at === undefined ? source : `${source}:${lines.linePos(at).line}`;
    },
  };
}

/** A layer that sets one path. */
export function layerOf(path: readonly string[], value: unknown, source: string): SettingsLayer {
  const settings = path.reduceRight<unknown>((inner, key) => Object.fromEntries([[key, inner]]), value) as Settings;
  return { settings, sourceOf: () => source };
}

/**
 * `key=value` with a dotted key. The value of a text setting stays as it is, unless it is quoted:
 * `hostname={cluster}-{shortId}`. Other values are YAML. Throws UsageError.
 */
export function parseAssignment(text: string): { path: string[]; value: unknown } {
  const [, key = '', value = ''] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  const path = key.split('.');
  if (!text.includes('=') || !path.every((part) => /^[A-Za-z]\w*$/.test(part))) {
    throw new UsageError(
      `--set ${JSON.stringify(text.replace(/=.*$/s, '=…'))}: must be KEY=VALUE with a dotted key, such as disk.fullPercent=85`,
    );
  }
  if (value === '' || (isText(path) && !/^\s*["']/.test(value) && !mayBeJson(path, value))) return { path, value };
  try {
    // The limits of a file hold here, too. No alias is allowed, since there is no anchor.
    const source = `--set ${key}`;
    const document = readDocument(value, source);
    keepAsWritten(document, path);
    return { path, value: toValue(document, source, 0) };
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    if (isText(path)) return { path, value };
    const problems = cause.faults.map(({ problem }) => problem).join('; ');
    throw new UsageError(`--set ${key}: ${problems}`, { cause });
  }
}

/** Settings of the ECS agent may be lists and maps. */
function mayBeJson([section]: readonly string[], value: string): boolean {
  return section === 'ecs' && /^\s*[[{]/.test(value);
}

/**
 * Merges layers, weakest first. Sections are merged; every other value replaces the weaker one.
 * `isSection` is true for sections of the schema: an empty one (`disk:` with all its
 * lines commented out) changes nothing.
 */
export function mergeLayers(layers: readonly SettingsLayer[], isSection: (path: readonly string[]) => boolean): Merged {
  const settings: Settings = {};
  const origins = new Map<string, SettingsLayer>();
  for (const layer of layers) mergeSection(settings, layer.settings, [], layer, origins, isSection);
  return {
    settings,
    sourceOf(dotted) {
      const path = dotted.split('.');
      for (let depth = path.length; depth > 0; depth--) {
        const layer = origins.get(path.slice(0, depth).join('.'));
        if (layer !== undefined) return layer.sourceOf(path);
      }
      // For a map or a list that becomes one value: the source of its first part.
      const part = [...origins].find(([known]) => known.startsWith(`${dotted}.`));
      return part?.[1].sourceOf(path);
    },
  };
}

function mergeSection(
  into: Settings,
  from: Settings,
  above: readonly string[],
  layer: SettingsLayer,
  origins: Map<string, SettingsLayer>,
  isSection: (path: readonly string[]) => boolean,
): void {
  for (const [key, value] of Object.entries(from)) {
    const path = [...above, key];
    const dotted = path.join('.');
    const before = Object.hasOwn(into, key) ? into[key] : undefined;
    if (value === null && isSection(path)) continue;
    if (isPlain(value) && (isPlain(before) || before === undefined)) {
      const section = isPlain(before) ? before : {};
      define(into, key, section);
      mergeSection(section, value, path, layer, origins, isSection);
      continue;
    }
    // Only an earlier value has origins. Without this check, many settings would take quadratic
    // time.
    if (before !== undefined)
      for (const known of origins.keys()) if (`${known}.`.startsWith(`${dotted}.`)) origins.delete(known);
    if (isPlain(value)) {
      const section: Settings = {};
      define(into, key, section);
      mergeSection(section, value, path, layer, origins, isSection);
    } else {
      define(into, key, value);
      origins.set(dotted, layer);
    }
  }
}

/**
 * Defines an own property for every name, so that `__proto__` is an unknown setting like others.
 */
function define(into: Settings, key: string, value: unknown): void {
  Object.defineProperty(into, key, { value, enumerable: true, writable: true, configurable: true });
}

export function isPlain(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The YAML document, for code that edits it. Throws a ConfigError with every fault. */
export function readDocument(text: string, source: string, lines = new LineCounter()): Document.Parsed {
  if (text.length > maxCharacters) {
    throw new ConfigError([{ path: source, problem: `is longer than ${maxCharacters} characters` }]);
  }
  // Check this before parsing, which takes quadratic time for such a text.
  if (opensMoreThan(text, maxOpen)) throw tooDeep(source);
  let document: Document.Parsed;
  try {
    // The library must not print warnings itself: they contain pieces of the text, which may be
    // secret. They become faults below.
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  } catch (cause) {
    throw new ConfigError([{ path: source, problem: `cannot be read as YAML: ${withoutText(messageOf(cause))}` }], {
      cause,
    });
  }
  const faults = faultsOfYaml(document, text, source, lines).slice(0, maxFaults);
  if (faults.length > 0) throw new ConfigError(faults);
  const faultAt = ({ range }: Node, problem: string) =>
    new ConfigError([{ path: `${source}:${lines.linePos(range?.[0] ?? 0).line}`, problem }]);
  const key = keyThatIsNoName(document);
  if (key !== undefined) throw faultAt(key, 'something that is no name stands before a colon');
  const alias = aliasWithoutAnchor(document);
  if (alias !== undefined) throw faultAt(alias, 'text that begins with * needs quotes');
  return document;
}

/** A key that is a list or a section; JavaScript would print it and use the result as a name. */
function keyThatIsNoName(document: Document.Parsed): Node | undefined {
  let found: Node | undefined;
  visit(document, {
    Pair(_, { key }) {
      if (isScalar(key) && (typeof key.value !== 'object' || key.value === null)) return undefined;
      found = key as Node;
      return visit.BREAK;
    },
  });
  return found;
}

/**
 * Where a setting is text, a number or a boolean becomes the text that stands in the file: `012`,
 * `1.10`, `1e3`, `True`. The same holds for names inside such a setting.
 */
function keepAsWritten(document: Document.Parsed, above: readonly string[]): void {
  visit(document, {
    Scalar(_, node, ancestors) {
      const isNumberOrBoolean = ['number', 'boolean', 'bigint'].includes(typeof node.value);
      if (!isNumberOrBoolean || node.source === undefined) return;
      if (isText([...above, ...pathOf(node, ancestors)])) node.value = node.source;
    },
  });
}

/** Names and indexes that lead to a node. */
function pathOf(node: Node, ancestors: readonly unknown[]): string[] {
  return ancestors.flatMap((ancestor, depth) => {
    if (isSeq(ancestor)) return [String(ancestor.items.indexOf(ancestors[depth + 1] ?? node))];
    return isPair(ancestor) ? [String((ancestor.key as { value?: unknown } | null)?.value)] : [];
  });
}

function toSettings(document: Document.Parsed, source: string): Settings {
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null)) return {};
  if (!isMap(contents)) {
    const found = isSeq(contents) ? 'a list' : 'text';
    throw new ConfigError([{ path: source, problem: `must hold settings such as "cluster: NAME"; found ${found}` }]);
  }
  return toValue(document, source, maxAliases) as Settings;
}

function toValue(document: Document.Parsed, source: string, aliases: number): unknown {
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: aliases });
  } catch (cause) {
    throw new ConfigError([{ path: source, problem: `cannot be read as YAML: ${withoutText(messageOf(cause))}` }], {
      cause,
    });
  }
  if (isDeeper(value, maxDepth)) throw tooDeep(source);
  return value;
}

function tooDeep(source: string): ConfigError {
  return new ConfigError([{ path: source, problem: `is nested deeper than ${maxDepth} levels` }]);
}

/**
 * Also counts brackets in comments and texts: no configuration leaves that many open there either.
 */
function opensMoreThan(text: string, limit: number): boolean {
  let open = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    open += bracket === '[' || bracket === '{' ? 1 : -1;
    if (open > limit) return true;
  }
  return false;
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

/** The offset of the deepest part of the path that the document has. */
function offsetOf(contents: unknown, path: readonly string[]): number | undefined {
  let node = contents;
  let offset: number | undefined;
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => String((item.key as { value?: unknown } | null)?.value) === key);
      if (pair === undefined) return offset;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(key)];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    } else {
      return offset;
    }
  }
  return offset;
}
