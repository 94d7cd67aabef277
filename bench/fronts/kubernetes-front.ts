/**
 * Serves the part of the Kubernetes API that aws-node-termination-handler uses: nodes that it can
 * read and cordon, and no pods.
 */

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { Certificate } from './tls-front.ts';

export interface KubernetesFront {
  port: number;
  addNode(name: string): void;
  /** Resolves when the node is marked unschedulable, the first step of its drain. */
  cordoned(name: string): Promise<void>;
  /**
   * Requests that this server does not know. They show that the program may react with another call
   * than the awaited one.
   */
  unknown: string[];
  close(): void;
}

type Json = { [key: string]: unknown };

interface Node {
  resource: Json & { metadata: Json; spec: Json };
  onCordon: (() => void)[];
}

interface Answer {
  status: number;
  body: object;
}

export async function openKubernetesFront({ file, key }: Certificate): Promise<KubernetesFront> {
  const nodes = new Map<string, Node>();
  const unknown: string[] = [];
  const find = (name: string): Node => nodes.get(name) ?? fail(`no node ${name}`);
  const server = createServer({ cert: await readFile(file), key: await readFile(key) }, (request, response) => {
    void answer(nodes, request).then(
      (known) => {
        if (!known) unknown.push(`${request.method} ${request.url}`);
        reply(response, known ?? { status: 404, body: failure(404, 'NotFound') });
      },
      () => response.destroy(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    unknown,
    addNode(name) {
      const metadata = { name, uid: name, labels: { 'kubernetes.io/hostname': name } };
      nodes.set(name, { resource: { kind: 'Node', apiVersion: 'v1', metadata, spec: {}, status: {} }, onCordon: [] });
    },
    cordoned: (name) => new Promise((resolve) => void find(name).onCordon.push(resolve)),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Returns undefined for a path, or a form of patch, that this server does not support. */
async function answer(nodes: Map<string, Node>, request: IncomingMessage): Promise<Answer | undefined> {
  const { pathname, searchParams } = new URL(request.url!, 'https://kubernetes');
  const list = (kind: string, items: object[]) => ({
    status: 200,
    body: { kind, apiVersion: 'v1', metadata: { resourceVersion: '1' }, items },
  });
  if (request.method === 'GET' && pathname === '/api/v1/pods') return list('PodList', []);
  if (request.method === 'GET' && pathname === '/api/v1/nodes') {
    const wanted = /^kubernetes\.io\/hostname in \((.*)\)$/.exec(searchParams.get('labelSelector') ?? '')?.[1];
    const found = [...nodes].filter(([name]) => wanted?.split(',').includes(name));
    return list(
      'NodeList',
      found.map(([, { resource }]) => resource),
    );
  }
  const node = nodes.get(/^\/api\/v1\/nodes\/([^/]+)$/.exec(pathname)?.[1] ?? '');
  if (!node) return undefined;
  if (request.method === 'GET') return { status: 200, body: node.resource };
  if (request.method === 'PUT') return change(node, (await json(request)) as Json);
  const isMerge = /^application\/(strategic-)?merge-patch\+json/.test(request.headers['content-type'] ?? '');
  if (request.method === 'PATCH' && isMerge) return change(node, merge(node.resource, (await json(request)) as Json));
  return undefined;
}

function change(node: Node, resource: Json): Answer {
  const was = node.resource.spec['unschedulable'];
  node.resource = resource as Node['resource'];
  if (was !== true && node.resource.spec['unschedulable'] === true) {
    for (const listener of node.onCordon.splice(0)) listener();
  }
  return { status: 200, body: node.resource };
}

/**
 * Applies a merge patch: null removes, objects merge, and any other value replaces. A node's lists
 * are short enough for this.
 */
function merge(into: Json, patch: Json): Json {
  const merged = { ...into };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else if (isObject(value)) merged[key] = merge(isObject(merged[key]) ? merged[key] : {}, value);
    else merged[key] = value;
  }
  return merged;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function failure(code: number, reason: string): object {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, code, message: reason };
}

function reply(response: ServerResponse, { status, body }: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function fail(message: string): never {
  throw new Error(message);
}
