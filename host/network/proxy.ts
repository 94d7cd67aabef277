/** Reads HTTPS_PROXY and NO_PROXY, as curl and the AWS tools read them. */

import { BlockList, isIP } from 'node:net';
import { ConfigError } from '../../core/errors.ts';
import type { Environment } from '../environment.ts';
import { isLinkLocal, isLoopback } from '../http/endpoint-safety.ts';

export interface Proxy {
  /** `http:` or `https:`, with the user and password of the setting: never log it. */
  url: URL;
  /** Safe to log: scheme, host and port. */
  origin: string;
  /** The variable that named the proxy. */
  variable: string;
  /**
   * True when a request to this host must not use the proxy. `hostname` as in a URL, or without
   * brackets.
   */
  bypasses(hostname: string, port: number): boolean;
}

/** Lower case first: curl, Go and Node.js agree on that order. */
const proxyVariables = ['https_proxy', 'HTTPS_PROXY'];

/**
 * Undefined without a proxy. Throws ConfigError for an invalid value. The message never repeats the
 * value, which may hold a password.
 */
export function parseProxy(environment: Environment): Proxy | undefined {
  const variable = proxyVariables.find((name) => environment[name]?.trim());
  if (variable === undefined) return undefined;
  const url = parseProxyUrl(variable, environment[variable]!.trim());
  const excluded = parseNoProxy(environment['no_proxy'] || environment['NO_PROXY'] || '');
  return {
    url,
    origin: url.origin,
    variable,
    bypasses(hostname, port) {
      const host = bare(hostname);
      const inUrl = isIP(host) === 6 ? `[${host}]` : host;
      // Requests to addresses that belong to this instance alone never use a proxy, whatever
      // NO_PROXY says.
      return isLoopback(inUrl) || isLinkLocal(inUrl) || excluded(host, port);
    },
  };
}

function parseProxyUrl(variable: string, text: string): URL {
  const wrong = (problem: string) =>
    new ConfigError([{ path: variable, problem: `${problem} (its value is not shown)`, source: 'environment' }]);
  // AWS's own pages write `10.0.0.131:3128`, without a scheme.
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  const isHost = url !== null && /^([\w.-]+|\[[0-9a-f:.]+\])$/i.test(url.hostname);
  // `http:/10.0.0.2` would be a host with the name "http".
  if (!isHost || /^https?:\/(?!\/)/i.test(text)) throw wrong('must be a URL such as http://10.0.0.2:3128');
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw wrong(`must be an http or https URL; ${url.protocol.slice(0, -1)} proxies are not supported`);
  }
  try {
    decodeURIComponent(url.username + url.password);
  } catch {
    throw wrong('must have its user and password percent-encoded ("%25" for "%")');
  }
  return url;
}

type Excludes = (host: string, port: number) => boolean;

/**
 * Names with their subdomains, addresses, CIDR blocks, each with an optional port, and `*`. Commas
 * or spaces separate them.
 */
export function parseNoProxy(text: string): Excludes {
  const rules = text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map(parseRule);
  return (hostname, port) => {
    const host = bare(hostname);
    return rules.some((rule) => rule(host, port));
  };
}

function parseRule(entry: string): Excludes {
  if (entry === '*') return () => true;
  const { host, port } = splitPort(entry);
  const matches = parseHost(host);
  return (asked, askedPort) => (port === undefined || port === askedPort) && matches(asked);
}

/** An address without brackets and with several colons is an IPv6 address without a port. */
function splitPort(entry: string): { host: string; port: number | undefined } {
  const [, host, port] = /^(\[[^\]]*\](?:\/\d+)?|[^:]+):(\d{1,5})$/.exec(entry) ?? [];
  return host === undefined ? { host: entry, port: undefined } : { host, port: Number(port) };
}

function parseHost(text: string): (host: string) => boolean {
  const [address = '', prefix] = text.replace(/^\[([^\]]*)\]/, '$1').split('/');
  const family = isIP(address);
  if (family > 0) return parseBlock(address, family === 6 ? 'ipv6' : 'ipv4', prefix);
  // `.example.com`, `*.example.com` and `example.com` all mean the name and everything below it, as
  // in curl.
  const name = text.replace(/^\*?\./, '').replace(/\.$/, '');
  return (host) => host === name || host.endsWith(`.${name}`);
}

function parseBlock(address: string, family: 'ipv4' | 'ipv6', prefix: string | undefined): (host: string) => boolean {
  const longest = family === 'ipv6' ? 128 : 32;
  const bits = prefix === undefined ? longest : Number(prefix);
  if (prefix === '' || !Number.isInteger(bits) || bits > longest) return () => false;
  const block = new BlockList();
  block.addSubnet(address, bits, family);
  return (host) => isIP(host) > 0 && block.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4');
}

/** Lower case, without brackets and without the final dot of a full domain name. */
function bare(hostname: string): string {
  return hostname
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
}
