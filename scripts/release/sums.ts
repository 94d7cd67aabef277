// Checksums and their signature, which install.sh verifies before it installs.
import { createHash, createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';

/** Renders the checksums in the format of `sha256sum`. */
export async function renderSums(files: string[]): Promise<string> {
  const lines = await Promise.all(files.map(async (file) => `${await digest(file)}  ${basename(file)}\n`));
  return lines.join('');
}

async function digest(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** `given` is a PEM file's path, or the PEM itself, as in a CI secret. */
export async function readSigningKey(given: string): Promise<KeyObject> {
  const pem = given.includes('-----BEGIN') ? given : await readFile(given, 'utf8');
  const key = createPrivateKey(pem);
  // An elliptic-curve signature differs each time, and "openssl dgst" cannot verify Ed25519.
  if (key.asymmetricKeyType !== 'rsa' || (key.asymmetricKeyDetails?.modulusLength ?? 0) < 3072)
    throw new TypeError(
      'the signing key must be RSA with at least 3072 bits: openssl genrsa -out signing-key.pem 3072',
    );
  return key;
}

/** Signs for `openssl dgst -sha256 -verify`. */
export function signText(text: string, key: KeyObject): Buffer {
  return sign('sha256', Buffer.from(text), key);
}

export function renderPublicKey(key: KeyObject): string {
  return createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString().trim();
}
