/**
 * The connections to AWS through a proxy or with a private certificate authority. Loaded only for
 * these.
 */

import { readFileSync } from 'node:fs';
import { Agent, type AgentOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { Unavailable, messageOf } from '../../core/errors.ts';
import type { Proxy } from './proxy.ts';

/** The limits of the SDK's own agent: connections are kept, and one host gets at most this many. */
const options: AgentOptions = { keepAlive: true, maxSockets: 50 };

/** Node.js's own tunnel through a proxy, for the hosts that NO_PROXY does not name. */
export class ProxyAgent extends Agent {
  readonly #proxy: Proxy;
  readonly #direct = new Agent(options);

  constructor(proxy: Proxy) {
    super({ ...options, proxyEnv: { HTTPS_PROXY: proxy.url.href } });
    this.#proxy = proxy;
  }

  override createConnection(
    wish: Parameters<Agent['createConnection']>[0],
    done?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    const { host, port } = wish as { host?: string | null; port?: number | string | null };
    const isNear = this.#proxy.bypasses(host ?? 'localhost', Number(port ?? 443));
    return isNear ? this.#direct.createConnection(wish, done) : super.createConnection(wish, done);
  }
}

/**
 * Adds the certificates of a file to the trusted ones of this process, for AWS and for a proxy.
 * Throws Unavailable: user data may still write the file, and a file that is lost later must not
 * end a node.
 */
export function trustBundle(file: string): void {
  const wrong = (problem: string, cause?: unknown) => new Unavailable(`AWS_CA_BUNDLE: ${problem}`, { cause });
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch (error) {
    throw wrong(`cannot be read: ${messageOf(error)}`, error);
  }
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g);
  if (certificates === null) throw wrong(`${file} holds no certificate (PEM)`);
  try {
    setDefaultCACertificates([...getCACertificates('default'), ...certificates]);
  } catch (error) {
    throw wrong(`${file} holds a certificate that cannot be read: ${messageOf(error)}`, error);
  }
}
