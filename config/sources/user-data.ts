/**
 * Finds our configuration in an instance's user data, which it may share with cloud-init and other
 * tools. Containers are opened as cloud-init opens them: gzip, base64, MIME messages,
 * `#cloud-config-archive`.
 */

import { gunzipSync } from 'node:zlib';
import { ConfigError, messageOf, type Fault } from '../../core/errors.ts';
import { isPlain, readDocument } from '../settings.ts';
import { isMessage, parseMessage } from './mime.ts';

export const partType = 'application/x-ecs-node';

/**
 * EC2 takes 16 kB, and gzip can expand that a thousandfold. All parts together may hold this much.
 */
const maxBytes = 1_048_576;

const source = 'user data';

/** A piece of user data that is no container. */
export interface Content {
  /** For messages: `user data, part 2`. */
  name: string;
  /** Named by its header, or found out from its first line as cloud-init does. */
  type: string;
  bytes: Buffer;
  charset?: string;
}

export interface UserData {
  contents: Content[];
  /** Parts that could not be opened, or that no program on the node reads. */
  warnings: Fault[];
}

export interface FoundConfiguration {
  /** YAML, in order; empty when the user data is about something else. */
  texts: { name: string; text: string }[];
  warnings: Fault[];
}

/** Throws ConfigError for content that is meant for ecs-node but broken. */
export function findConfiguration(userData: Uint8Array): FoundConfiguration {
  const { contents, warnings } = openUserData(userData);
  const texts = contents.filter(isOurs).map(({ name, bytes, charset }) => {
    const text = decode(bytes, name, charset);
    return { name, text: withoutTemplateLine(text, name) };
  });
  const closest = contents.filter((content) => !isOurs(content)).flatMap(faultOfOthers);
  const wrongType = closest.filter(({ isFault }) => isFault).map(({ fault }) => fault);
  if (wrongType.length > 0) throw new ConfigError(wrongType);
  // A damaged message must not silently lose the node's configuration.
  if (texts.length === 0 && warnings.length > 0 && mentionsUs(userData)) throw new ConfigError(warnings);
  return { texts, warnings: [...warnings, ...closest.map(({ fault }) => fault)] };
}

/** Opens every container. Throws ConfigError for gzip that cannot be unpacked. */
export function openUserData(userData: Uint8Array): UserData {
  const opened: Opened = { contents: [], warnings: [], bytesLeft: maxBytes };
  // Blank lines and a byte order mark before the headers: editors make them, and cloud-init then
  // finds no message.
  const text = unpack(Buffer.from(userData), source, opened)
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '');
  const trimmed = text.replace(/^\s+/, '');
  if (trimmed === '') return opened;
  if (beginsAsOurs(trimmed) || !isMessage(trimmed)) {
    open({ name: source, type: 'text/x-not-multipart', bytes: Buffer.from(text, 'latin1') }, opened);
    return opened;
  }
  const { parts, problems } = parseMessage(trimmed);
  for (const problem of problems) opened.warnings.push({ path: source, problem });
  for (const [index, { type, bytes, charset, headers }] of parts.entries()) {
    const name = parts.length === 1 ? source : `${source}, part ${index + 1}`;
    if (headers.has('launch-index') && type === partType)
      opened.warnings.push({ path: name, problem: 'its Launch-Index is not heeded: it counts on every instance' });
    open({ name, type, bytes, ...(charset !== undefined && { charset }) }, opened);
  }
  return opened;
}

interface Opened extends UserData {
  bytesLeft: number;
}

/** As cloud-init calls gzip. */
const gzipTypes =
  /^application\/(gzip|gzip-compressed|gzipped|x-compress|x-compressed|x-gunzip|x-gzip|x-gzip-compressed)$/;

/** cloud-init inspects the content of these types before it accepts the type. */
const guessedTypes = ['text/plain', 'text/x-not-multipart', 'text/x-shellscript'];

function open(content: Content, opened: Opened): void {
  const { name } = content;
  const isGzip = gzipTypes.test(content.type);
  const declared = isGzip ? 'text/plain' : content.type;
  // Only ecs-node uses gzip under another type. Unpack it for ecs-node, and leave the bytes of
  // other parts alone.
  const bytes = isGzip || declared === partType ? unpack(content.bytes, name, opened) : content.bytes;
  const type = guessedTypes.includes(declared) ? (typeOfContent(bytes) ?? declared) : declared;
  if (type === 'text/x-include-url' || type === 'text/x-include-once-url') {
    const problem = 'includes documents by URL, which ecs-node does not fetch; put its settings into the user data';
    opened.warnings.push({ path: name, problem });
  } else if (type === 'text/cloud-config-archive') {
    openArchive(bytes, name, opened);
  } else {
    opened.contents.push({ ...content, type, bytes });
  }
}

/**
 * A YAML list of texts and of `{type, content}`. An archive inside an archive is not opened.
 * cloud-init does not open it either.
 */
function openArchive(bytes: Buffer, name: string, opened: Opened): void {
  let entries: unknown;
  try {
    entries = readDocument(decode(bytes, name), name).toJS({ maxAliasCount: 50 });
  } catch (error) {
    opened.warnings.push({ path: name, problem: `is a cloud-config archive that cannot be read: ${messageOf(error)}` });
    return;
  }
  if (!Array.isArray(entries)) {
    opened.warnings.push({ path: name, problem: 'is a cloud-config archive, but not a list' });
    return;
  }
  for (const [index, entry] of (entries as unknown[]).entries())
    openEntry(entry, `${name}, entry ${index + 1}`, opened);
}

function openEntry(entry: unknown, name: string, opened: Opened): void {
  const { content = '', type } = isPlain(entry) ? entry : { content: entry };
  // An entry that is still empty.
  if (content === null) return;
  const isBinary = content instanceof Uint8Array;
  if (typeof content !== 'string' && !isBinary) {
    opened.warnings.push({ path: name, problem: 'is not read: its content must be a text; write `content: |`' });
    return;
  }
  const declared = typeof type === 'string' && type !== '' ? type.toLowerCase() : undefined;
  // As a part of a message: cloud-init unpacks nothing here, and only ecs-node reads this type.
  const bytes = declared === partType ? unpack(Buffer.from(content), name, opened) : Buffer.from(content);
  const fallback = isBinary ? 'application/octet-stream' : 'text/cloud-config';
  opened.contents.push({ name, type: declared ?? typeOfContent(bytes) ?? fallback, bytes });
}

/** The first lines that cloud-init knows, longest first, with their types. */
const firstLines = [
  ['#cloud-config-archive', 'text/cloud-config-archive'],
  ['#cloud-config-jsonp', 'text/cloud-config-jsonp'],
  ['## template: jinja', 'text/jinja2'],
  ['#cloud-boothook', 'text/cloud-boothook'],
  ['#include-once', 'text/x-include-once-url'],
  ['#part-handler', 'text/part-handler'],
  ['#cloud-config', 'text/cloud-config'],
  ['#include', 'text/x-include-url'],
  ['#!', 'text/x-shellscript'],
] as const;

function typeOfContent(bytes: Buffer): string | undefined {
  const text = bytes.toString('latin1').replace(/^\s+/, '').slice(0, 200).toLowerCase();
  if (beginsAsOurs(text)) return partType;
  return firstLines.find(([start]) => text.startsWith(start))?.[1];
}

/**
 * The first line is `#ecs-node`, just as `#cloud-config` is for cloud-init. More words may follow
 * on that line.
 */
function beginsAsOurs(text: string): boolean {
  return /^(?:\xef\xbb\xbf)?\s*#ecs-node(?![\w-])/i.test(text);
}

const jinjaLine = /^(?:\uFEFF|\xef\xbb\xbf)?\s*## template: jinja[^\r\n]*[\r\n]+/i;

function isOurs({ type, bytes }: Content): boolean {
  if (type === partType) return true;
  const text = bytes.toString('latin1');
  return beginsAsOurs(text) || (jinjaLine.test(text) && beginsAsOurs(text.replace(jinjaLine, '')));
}

/** Jinja needs cloud-init's variables. Without any markup the first line may stay. */
function withoutTemplateLine(text: string, name: string): string {
  if (!jinjaLine.test(text) || !/\{\{|\{%|\{#/.test(text)) return text;
  const problem =
    'is a Jinja template, which ecs-node does not fill in; write the values, or placeholders such as {instanceId}';
  throw new ConfigError([{ path: name, problem }]);
}

/**
 * Content that was probably meant for ecs-node. A wrong type is a fault. A wrong first line may
 * have many reasons, so it is not.
 */
function faultOfOthers({ name, type, bytes }: Content): { fault: Fault; isFault: boolean }[] {
  if (/ecs[-_.]?node/i.test(type)) {
    const problem = `has the type ${JSON.stringify(type)}; a part with settings must have ${partType}`;
    return [{ fault: { path: name, problem }, isFault: true }];
  }
  const text = bytes.toString('utf8').trimStart();
  if (!/^text\/(plain|x-not-multipart|x-?yaml|yaml)$|^application\/(x-)?(yaml|json)$/.test(type)) {
    if (!mentionsUs(bytes) || isForCloudInit(type, text)) return [];
    const problem = `mentions ecs-node, but a part of the type ${JSON.stringify(type)} is not read here; make it a part or an entry of its own`;
    return [{ fault: { path: name, problem }, isFault: false }];
  }
  if (text === '') return [];
  const problem = 'is not read: its first line must be #ecs-node for ecs-node, or one that cloud-init knows';
  return [{ fault: { path: name, problem }, isFault: false }];
}

/** Types of content in which users call ecs-node, or write its files. */
const cloudInitTypes =
  /^text\/(x-shellscript(-per-\w+)?|cloud-config(-jsonp)?|cloud-boothook|part-handler|upstart-job)$/;

/** cloud-init drops a template that renders to a container. */
function isForCloudInit(type: string, text: string): boolean {
  if (type !== 'text/jinja2') return cloudInitTypes.test(type);
  return cloudInitTypes.test(typeOfContent(Buffer.from(text.replace(jinjaLine, ''))) ?? '');
}

function mentionsUs(userData: Uint8Array): boolean {
  return /ecs-node/i.test(Buffer.from(userData).toString('latin1'));
}

/** Base64 first, then gzip, each at most once. */
function unpack(bytes: Buffer, name: string, opened: Opened): Buffer {
  const plain = fromBase64(bytes) ?? bytes;
  if (plain[0] !== 0x1f || plain[1] !== 0x8b) return plain;
  try {
    // Zero would mean "no limit".
    const content = gunzipSync(plain, { maxOutputLength: Math.max(1, opened.bytesLeft) });
    opened.bytesLeft -= content.length;
    return content;
  } catch (cause) {
    throw new ConfigError([{ path: name, problem: `is gzip that cannot be unpacked: ${messageOf(cause)}` }], { cause });
  }
}

/**
 * Undefined unless all bytes are base64 of a form that user data may have. A word like "abcd" is
 * base64 too.
 */
function fromBase64(bytes: Buffer): Buffer | undefined {
  const text = bytes.toString('latin1').replaceAll(/\s/g, '');
  if (text.length < 8 || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  const plain = Buffer.from(text, 'base64');
  const isGzip = plain[0] === 0x1f && plain[1] === 0x8b;
  return isGzip || /^(\s*#|\xef\xbb\xbf|MIME-Version:|Content-Type:|From )/i.test(plain.toString('latin1', 0, 32))
    ? plain
    : undefined;
}

/** UTF-8, as in cloud-init. Another charset counts only when the bytes are not UTF-8. */
function decode(bytes: Buffer, name: string, charset?: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    const other = charset === undefined || /^utf-?8$/i.test(charset) ? undefined : decoderFor(charset);
    if (other !== undefined) return other.decode(bytes);
    throw new ConfigError([{ path: name, problem: 'is not UTF-8 text' }], { cause });
  }
}

function decoderFor(charset: string): TextDecoder | undefined {
  try {
    return new TextDecoder(charset);
  } catch {
    return undefined;
  }
}
