import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { readPersonalCredentials } from '../../../../host/aws/session/personal-credentials.ts';
import { openNetwork } from '../../../../host/network/network.ts';

test('a build job behind a proxy gets its credentials through the proxy, too', async () => {
  const tunnels: string[] = [];
  const proxy = createServer();
  proxy.on('connect', (request: IncomingMessage, socket: Socket) => {
    tunnels.push(request.url ?? '');
    socket.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n');
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const folder = mkdtempSync(join(tmpdir(), 'ecs-node-'));
  writeFileSync(join(folder, 'token'), 'token');
  onTestFinished(() => {
    proxy.close();
    rmSync(folder, { recursive: true });
    vi.unstubAllEnvs();
  });
  // The SDK's provider reads them from the process.
  vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', join(folder, 'token'));
  vi.stubEnv('AWS_ROLE_ARN', 'arn:aws:iam::123456789012:role/build');
  vi.stubEnv('AWS_REGION', 'eu-west-1');
  const { port } = proxy.address() as AddressInfo;
  const environment = { ...process.env, HTTPS_PROXY: `http://127.0.0.1:${port}`, NO_PROXY: '' };
  await expect(readPersonalCredentials(openNetwork(environment))).rejects.toThrow(
    /web identity: sts\.\S+: the proxy http:\/\/127\.0\.0\.1:\d+ \(HTTPS_PROXY\) answered 407; it wants a user/,
  );
  expect(tunnels).toContain('sts.eu-west-1.amazonaws.com:443');
});
