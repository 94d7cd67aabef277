// The binary carries a Node whose symbols were removed by our own code, so that code is tried on
// the real Node.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stripElf } from '../../scripts/binary/strip-elf.ts';

test('a stripped Node is much smaller and still runs', () => {
  const node = readFileSync(process.execPath);
  const stripped = stripElf(node);
  expect(stripped.length).toBeLessThan(node.length * 0.95);
  const folder = mkdtempSync(join(tmpdir(), 'ecs-node-strip-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'node');
  writeFileSync(file, stripped, { mode: 0o755 });
  const script =
    'console.log(process.version, require("node:crypto").createHash("sha1").update("a").digest("hex").length)';
  expect(execFileSync(file, ['-e', script], { encoding: 'utf8' })).toBe(`${process.version} 40\n`);
});

test('stripping twice changes nothing more', () => {
  const once = stripElf(readFileSync(process.execPath));
  expect(stripElf(once).equals(once)).toBe(true);
});

test('a file that is no executable is refused', () => {
  expect(() => stripElf(Buffer.from('#!/bin/sh\necho no program\n'))).toThrow('not a 64-bit little-endian ELF file');
});
