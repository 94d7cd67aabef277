/**
 * Sends the requests of the AWS clients. An answer that did not come from AWS becomes `Unavailable`
 * here.
 */

import { NodeHttpHandler } from '@smithy/node-http-handler';
import { Unavailable } from '../../../core/errors.ts';
import { codeOf } from '../../files/error-code.ts';
import type { Network } from '../../network/network.ts';
import { isRetired, opsworksRetired } from './endpoints.ts';

/** A connection within a region takes some ms. Three seconds allow two lost SYN packets. */
const connectionTimeout = 3_000;

/** The slowest call of a node (a page of a thousand-node cluster) takes about two seconds. */
const requestTimeout = 10_000;

/** It leaves some seconds for the answer. */
const tunnelTimeout = 7_000;

const limits = {
  requestTimeout,
  throwOnRequestTimeout: true,
  // For a body that stops in the middle: the request's time-out no longer covers it.
  socketTimeout: requestTimeout,
};

type Question = Parameters<NodeHttpHandler['handle']>[0];
type Answer = Awaited<ReturnType<NodeHttpHandler['handle']>>['response'];

/** For the client of one service, which destroys it. */
export class Transport {
  readonly metadata = { handlerProtocol: 'http/1.1' };
  readonly #network: Network;
  readonly #service: string;
  #handler: Promise<NodeHttpHandler> | undefined;

  constructor(network: Network, service: string) {
    this.#network = network;
    this.#service = service;
  }

  async handle(
    question: Question,
    options?: Parameters<NodeHttpHandler['handle']>[1],
  ): ReturnType<NodeHttpHandler['handle']> {
    const handler = await (this.#handler ??= this.#open());
    try {
      const answered = await handler.handle(question, options);
      const doubt = doubtAbout(answered.response, this.#service);
      if (doubt !== undefined) throw this.#notAws(question, answered.response, doubt);
      return answered;
    } catch (error) {
      if (error instanceof Unavailable || options?.abortSignal?.aborted === true) throw error;
      throw this.#explain(error, question);
    }
  }

  destroy(): void {
    void this.#handler?.then((handler) => handler.destroy()).catch(() => {});
  }

  /** The SDK sets its logger by this function. */
  updateHttpClientConfig(): void {}

  httpHandlerConfigs(): object {
    return {};
  }

  async #open(): Promise<NodeHttpHandler> {
    try {
      const httpsAgent = await this.#network.openAgent();
      return new NodeHttpHandler({
        ...limits,
        connectionTimeout: this.#connectionTimeout,
        ...(httpsAgent && { httpsAgent }),
      });
    } catch (error) {
      // A file that is missing now may exist at the next call.
      this.#handler = undefined;
      throw error;
    }
  }

  #notAws({ hostname }: Question, { statusCode, body }: Answer, doubt: string): Unavailable {
    // An unread body would hold its connection.
    (body as { destroy?: () => void } | undefined)?.destroy?.();
    const { proxy } = this.#network;
    const by =
      proxy === undefined
        ? 'a firewall, a captive portal or a wrong endpoint'
        : `the proxy ${proxy.origin} or a firewall`;
    return new Unavailable(
      `${hostname} answered ${statusCode} with ${doubt}, which is not from AWS: ${by} answered in its place`,
    );
  }

  /** Keeps the code, because the SDK decides by it about its second try. */
  #explain(error: unknown, { protocol, hostname, port }: Question): Unavailable {
    const isLate = error instanceof Error && error.name === 'TimeoutError';
    const cause = isLate ? this.#late(error) : error;
    const trouble = this.#network.explainTrouble(cause, { protocol, hostname, port: String(port ?? '') });
    const remedy = isRetired(this.#service, hostname) ? opsworksRetired : trouble.remedy;
    const text = remedy === undefined ? trouble.what : `${trouble.what}; ${remedy}`;
    const code = codeOf(error) ?? (isLate ? 'ETIMEDOUT' : undefined);
    return Object.assign(new Unavailable(text, { cause: error }), code !== undefined && { code });
  }

  /**
   * Replaces the SDK's text, which names its own file. Only a connection that never existed is a
   * question of routes.
   */
  #late({ message }: Error): Error {
    const connects = message.includes('did not establish a connection');
    const seconds = (connects ? this.#connectionTimeout : requestTimeout) / 1000;
    const late = new Error(`no ${connects ? 'connection' : 'answer'} within ${seconds} s`);
    return connects ? Object.assign(late, { code: 'ETIMEDOUT' }) : late;
  }

  /**
   * A tunnel takes a connection, a request to the proxy, its DNS look-up and another connection.
   */
  get #connectionTimeout(): number {
    return this.#network.proxy === undefined ? connectionTimeout : tunnelTimeout;
  }
}

/**
 * Undefined for an answer that may come from AWS. Each answer of AWS has a request id, and no other
 * answer has one. A stand-in for AWS may omit it, so a JSON, XML or CBOR answer passes as well.
 */
function doubtAbout({ statusCode, headers }: Answer, service: string): string | undefined {
  if (Object.keys(headers).some((name) => name.startsWith('x-amz'))) return undefined;
  const type = headers['content-type'] ?? '';
  if (/^text\/html\b/i.test(type)) return 'a web page';
  if (statusCode >= 300 && statusCode < 400) return 'a redirect';
  if (statusCode >= 300) return undefined;
  if (type !== '' && !/json|xml|cbor|octet-stream/i.test(type)) return `a text of the type ${type.slice(0, 40)}`;
  // AWS no longer runs OpsWorks. A stand-in for it may send an empty answer.
  return headers['content-length'] === '0' && service !== 'OPSWORKS' ? 'an empty page' : undefined;
}
