/**
 * Finds our configuration in an instance's user data: text that begins with `#ecs-node`, or MIME parts of type
 * `application/x-ecs-node` beside somebody else's; gzip and base64 as cloud-init takes them.
 */

import { gunzipSync } from 'node:zlib';
import { ConfigError, messageOf } from '../../core/errors.ts';
import { parseMultipart } from './mime.ts';

export const partType = 'application/x-ecs-node';

/** EC2 takes 16 kB, which gzip may blow up a thousandfold, and each part of a message once more: for all parts together. */
const maxBytes = 1_048_576;

const source = 'user data';

/** Our YAML texts, in order; none when the user data is about something else. Throws ConfigError for what is ours but broken. */
export function findConfiguration(userData: Uint8Array): string[] {
  const bytes = unpack(Buffer.from(userData), source);
  const text = bytes.toString('latin1');
  if (isOurs(text)) return [decode(bytes, source)];
  const parts = parseMultipart(text);
  if (parts === undefined) return [];
  let left = maxBytes;
  const ours = parts
    .map((part, index) => ({ ...part, name: `${source}, part ${index + 1}` }))
    .map((part) => {
      if (part.type !== partType) return part;
      const content = unpack(part.bytes, part.name, left);
      left -= content.length;
      return { ...part, bytes: content };
    })
    .filter(({ type, bytes: content }) => type === partType || (isText(type) && isOurs(content.toString('latin1'))));
  // A broken message must not quietly lose the node's configuration.
  if (ours.length === 0 && text.includes(partType)) {
    const problem = `names a part ${partType} that cannot be found; is the MIME message whole, with its boundary?`;
    throw new ConfigError([{ path: source, problem }]);
  }
  return ours.map(({ bytes: content, name }) => decode(content, name));
}

/** The first line is `#ecs-node`, as `#cloud-config` is cloud-init's. */
function isOurs(text: string): boolean {
  return /^(?:\xef\xbb\xbf)?#ecs-node[ \t]*(?:\r?\n|$)/.test(text);
}

function isText(type: string): boolean {
  return type.startsWith('text/');
}

/** Base64 first, then gzip, each at most once. */
function unpack(bytes: Buffer, name: string, most = maxBytes): Buffer {
  const plain = fromBase64(bytes) ?? bytes;
  if (plain[0] !== 0x1f || plain[1] !== 0x8b) return plain;
  try {
    // Zero would mean "no limit".
    return gunzipSync(plain, { maxOutputLength: Math.max(1, most) });
  } catch (cause) {
    throw new ConfigError([{ path: name, problem: `is gzip that cannot be unpacked: ${messageOf(cause)}` }], { cause });
  }
}

/** Undefined unless the whole is base64 of something that user data may be: a word like "abcd" is base64, too. */
function fromBase64(bytes: Buffer): Buffer | undefined {
  const text = bytes.toString('latin1').replaceAll(/\s/g, '');
  if (text.length < 8 || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  const plain = Buffer.from(text, 'base64');
  const isGzip = plain[0] === 0x1f && plain[1] === 0x8b;
  return isGzip || /^(#|MIME-Version:|Content-Type:)/i.test(plain.toString('latin1', 0, 32)) ? plain : undefined;
}

function decode(bytes: Buffer, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ConfigError([{ path: name, problem: 'is not UTF-8 text' }], { cause });
  }
}
