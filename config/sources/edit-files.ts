/**
 * Edits the configuration's files so that the flags win, now and after a reboot. Comments and order
 * stay.
 */

import { isDeepStrictEqual } from 'node:util';
import { isAlias, isMap, isScalar, type Document, type YAMLMap } from 'yaml';
import { isSection } from '../config.ts';
import { ConfigError } from '../../core/errors.ts';
import { mayBePulled } from '../remote/remote-settings.ts';
import { isPlain, mergeLayers, parseLayer, readDocument, type Settings } from '../settings.ts';
import { paths } from '../../core/state/state.ts';
import type { FileText } from './files.ts';
import type { FlagSetting } from './flags.ts';

/** Its name sorts last, so that it wins over other drop-ins. */
export const flagsFile = `${paths.dropIns}/zz-flags.yaml`;

const header = `# Settings of this ECS node. "ecs-node check" shows the effective ones and where each comes from.
# yaml-language-server: $schema=/usr/share/ecs-node/config.schema.json
`;
const flagsHeader = '# Written by ecs-node: flags that another file in this folder would otherwise override.\n';

/** The new content of a file. Without a text the file is removed. */
export interface Edit {
  path: string;
  text: string | undefined;
}

/**
 * Throws ConfigError when two flags contradict each other, or when a file that sorts after ours
 * overrides a flag.
 */
export function editFiles(texts: readonly FileText[], configFile: string, flags: readonly FlagSetting[]): Edit[] {
  refuseContradictions(flags);
  const wanted = flags.flatMap(({ path, value }) => leavesOf(path, value));
  if (wanted.length === 0) return [];
  const textOf = (path: string) => texts.find((file) => file.path === path)?.text;
  const config = editText(textOf(configFile), configFile, header, wanted, []);

  const others = texts.filter(({ path }) => path !== flagsFile && path !== configFile);
  const without = valuesOf([{ path: configFile, text: config }, ...others]);
  const isOverridden = ({ path, value }: Leaf) =>
    !isDeepStrictEqual(valueAt(without, path), value) || isPullable(without, path);
  const [overridden, plain] = [wanted.filter(isOverridden), wanted.filter((leaf) => !isOverridden(leaf))];
  const before = textOf(flagsFile);
  const after =
    before === undefined && overridden.length === 0
      ? undefined
      : editText(before, flagsFile, flagsHeader, overridden, plain);
  const isEmpty = after !== undefined && Object.keys(parseLayer(after, flagsFile).settings).length === 0;
  const flagsText = isEmpty ? undefined : after;

  mustWin(wanted, [
    { path: configFile, text: config },
    ...others,
    ...(flagsText === undefined ? [] : [{ path: flagsFile, text: flagsText }]),
  ]);
  const edits = [{ path: configFile, text: config }];
  return before === undefined && flagsText === undefined ? edits : [...edits, { path: flagsFile, text: flagsText }];
}

/** True when a pulled document may set it at any time, and would then override config.yaml. */
function isPullable(settings: Settings, path: readonly string[]): boolean {
  const also = valueAt(settings, ['refresh', 'also']);
  const opened = Array.isArray(also) ? also.filter((each) => typeof each === 'string') : [];
  return typeof valueAt(settings, ['refresh', 'source']) === 'string' && mayBePulled(path, opened);
}

interface Leaf {
  path: string[];
  value: unknown;
}

function leavesOf(path: string[], value: unknown): Leaf[] {
  if (!isPlain(value)) return [{ path, value }];
  return Object.entries(value).flatMap(([key, inner]) => leavesOf([...path, key], inner));
}

/** Which of two values is meant only the operator knows. No file is at fault, so none is named. */
function refuseContradictions(flags: readonly FlagSetting[]): void {
  const first = new Map<string, { value: unknown; flag: string }>();
  const faults = flags.flatMap(({ path, value: given, flag }) =>
    leavesOf(path, given).flatMap(({ path: leaf, value }) => {
      const dotted = leaf.join('.');
      const before = first.get(dotted) ?? { value, flag };
      first.set(dotted, before);
      if (isDeepStrictEqual(before.value, value)) return [];
      return [{ path: dotted, problem: `is given two values, by ${before.flag} and by ${flag}; give one of them` }];
    }),
  );
  if (faults.length > 0) throw new ConfigError(faults);
}

function mustWin(wanted: readonly Leaf[], files: FileText[]): void {
  const drops = files.slice(1).filter(({ isRemote }) => isRemote !== true);
  const remote = files.filter(({ isRemote }) => isRemote === true);
  const sorted = drops.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const layers = [files[0]!, ...remote, ...sorted].map(({ path, text }) => parseLayer(text, path));
  const merged = mergeLayers(layers, isSection);
  const faults = wanted
    .filter(({ path, value }) => !isDeepStrictEqual(valueAt(merged.settings, path), value))
    .map(({ path }) => {
      const dotted = path.join('.');
      return {
        path: dotted,
        problem: `is overridden by ${merged.sourceOf(dotted)}, which is read last; remove it there`,
      };
    });
  if (faults.length > 0) throw new ConfigError(faults);
}

function valuesOf(files: readonly FileText[]): Settings {
  return mergeLayers(
    files.map(({ path, text }) => parseLayer(text, path)),
    isSection,
  ).settings;
}

function valueAt(settings: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (isPlain(value) && Object.hasOwn(value, key) ? value[key] : undefined),
    settings,
  );
}

/** Returns the same text when it already has all these values. */
function editText(
  text: string | undefined,
  path: string,
  head: string,
  set: readonly Leaf[],
  unset: readonly Leaf[],
): string {
  const before = text ?? '';
  const settings = parseLayer(before, path).settings;
  const toSet = set.filter((leaf) => !isDeepStrictEqual(valueAt(settings, leaf.path), leaf.value));
  const toUnset = unset.filter((leaf) => valueAt(settings, leaf.path) !== undefined);
  if (toSet.length === 0 && toUnset.length === 0) return before;
  const document = readDocument(before.trim() === '' ? head : before, path);
  for (const leaf of toSet) setValue(document, leaf);
  for (const leaf of toUnset) removeValue(document, leaf.path);
  // The line width is unlimited, so that a value stays on the line where people wrote it.
  return document.toString({ lineWidth: 0 });
}

function setValue(document: Document, { path, value }: Leaf): void {
  if (!isMap(document.contents)) document.contents = document.createNode({}) as unknown as typeof document.contents;
  let section = document.contents as unknown as YAMLMap;
  for (const key of path.slice(0, -1)) {
    const inner: unknown = section.get(key, true);
    if (!isMap(inner)) {
      // An alias stands for the section of another place: edit a copy, so that only this place
      // changes.
      const copy = document.createNode(isAlias(inner) ? inner.toJS(document) : {}) as YAMLMap;
      if (isScalar(inner)) Object.assign(copy, { comment: inner.comment, commentBefore: inner.commentBefore });
      section.set(key, copy);
    }
    section = section.get(key, true) as unknown as YAMLMap;
  }
  const last = path.at(-1)!;
  const before: unknown = section.get(last, true);
  // Keep the node itself, and with it the comment beside the value.
  if (isScalar(before) && !Array.isArray(value)) before.value = value;
  else section.set(last, document.createNode(value));
}

/** Also removes the sections that are empty afterwards. */
function removeValue(document: Document, path: readonly string[]): void {
  document.deleteIn(path);
  for (let depth = path.length - 1; depth > 0; depth--) {
    const section: unknown = document.getIn(path.slice(0, depth), true);
    if (!isMap(section) || section.items.length > 0) return;
    document.deleteIn(path.slice(0, depth));
  }
}
