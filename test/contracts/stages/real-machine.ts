/** The real Machine below a temporary root, with a web server on loopback. */

import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Header } from 'tar';
import { openMachine } from '../../../host/machine.ts';
import type { MachineStage } from '../machine.ts';

export async function realMachine(): Promise<MachineStage> {
  const root = await mkdtemp(join(tmpdir(), 'm-'));
  const answers = new Map<string, { status: number; body: Buffer }>();
  const server = createServer((request, response) => {
    const { status, body } = answers.get(request.url ?? '') ?? { status: 404, body: Buffer.alloc(0) };
    response.writeHead(status).end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const serve = (status: number, body: Buffer = Buffer.alloc(0)): string => {
    const path = `/${answers.size}`;
    answers.set(path, { status, body });
    return `http://127.0.0.1:${port}${path}`;
  };
  const put = async (path: string, content: string | Uint8Array) => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  };
  return {
    machine: openMachine(root, {}),
    async addProgram(path, code) {
      await put(path, `#!/bin/sh\necho "$GREETING $@"\nexit ${code}\n`);
      await chmod(join(root, path), 0o755);
    },
    addBinaryFile: (path) => put(path, Uint8Array.of(0x63, 0xff, 0xfe)),
    serveArchive: async (files) => serve(200, archive(files)),
    serveStatus: async (status) => serve(status),
    // The kernel gives such a low port to no other test, unlike a freed one.
    nowhere: async () => 'http://127.0.0.1:1',
    async close() {
      server.closeAllConnections();
      server.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** Also builds archives that an honest program would not write. */
function archive(files: Record<string, string>): Buffer {
  const blocks = Object.entries(files).flatMap(([path, text]) => {
    const content = Buffer.from(text);
    const block = Buffer.alloc(512);
    new Header({ path, mode: 0o755, type: 'File', size: content.length, mtime: new Date(0) }).encode(block);
    return [block, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}
