/** Explains in one line why a host was not reached, with the remedy. */

import { messageOf } from '../../core/errors.ts';
import { codeOf } from '../files/error-code.ts';
import type { Proxy } from './proxy.ts';

export interface Destination {
  host: string;
  port: number;
  /** The proxy that the request went through. */
  proxy: Proxy | undefined;
}

/** The file with a node's variables for the network. */
const file = '/etc/ecs-node/environment';

export interface NetworkTrouble {
  what: string;
  /** Undefined when there is no remedy to name. */
  remedy: string | undefined;
}

/** Without user, password and query: an error's text ends up in logs and tags. */
export function explainNetworkTrouble(error: unknown, { host, port, proxy }: Destination): NetworkTrouble {
  const code = codeOf(error) ?? '';
  const where = port === 443 ? host : `${host}:${port}`;
  if (proxy !== undefined && isProxyTrouble(error, code, proxy)) return tellProxyTrouble(error, code, where, proxy);
  const via = proxy === undefined ? '' : ` through the proxy ${proxy.origin}`;
  return { what: `${where}${via}: ${describe(error)}`, remedy: remedyFor(code, proxy) };
}

export function tellNetworkTrouble(error: unknown, destination: Destination): string {
  const { what, remedy } = explainNetworkTrouble(error, destination);
  return remedy === undefined ? what : `${what}; ${remedy}`;
}

/** Includes the code, because people search for it. */
function describe(error: unknown): string {
  const message = messageOf(error);
  const code = codeOf(error);
  return code === undefined || message.includes(code) ? message : `${message} (${code})`;
}

/** The connection to the proxy itself failed, or the proxy did not open the tunnel. */
function isProxyTrouble(error: unknown, code: string, { url }: Proxy): boolean {
  if (code === 'ERR_PROXY_TUNNEL') return true;
  // Through a tunnel, the proxy resolves the host and connects. These errors are therefore about
  // the proxy.
  if (/^(ENOTFOUND|EAI_|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH)/.test(code)) return true;
  return url.protocol === 'https:' && code === 'EPROTO';
}

function tellProxyTrouble(error: unknown, code: string, where: string, { origin, variable }: Proxy): NetworkTrouble {
  const status = (error as { statusCode?: unknown }).statusCode;
  const said = typeof status === 'number' ? `answered ${status}` : `failed: ${describe(error)}`;
  const what = `${where}: the proxy ${origin} (${variable}) ${said}`;
  if (status === 407) {
    return { what, remedy: `it wants a user and password: ${variable}=http://USER:PASSWORD@HOST:PORT in ${file}` };
  }
  if (status === 403) {
    const remedy = `allow ${where} on the proxy, or exclude it by NO_PROXY where this network reaches it directly`;
    return { what, remedy };
  }
  if (code === 'ERR_PROXY_TUNNEL') return { what, remedy: 'see the log of the proxy' };
  return { what, remedy: `is ${variable} right, and may this instance connect to the proxy?` };
}

function remedyFor(code: string, proxy: Proxy | undefined): string | undefined {
  const tls = tlsRemedies.find(([pattern]) => pattern.test(code))?.[1];
  if (tls !== undefined || proxy !== undefined) return tls;
  return routeRemedies.find(([pattern]) => pattern.test(code))?.[1];
}

/** By Node.js's code, without a proxy. */
const routeRemedies: [RegExp, string][] = [
  [
    /^(ENOTFOUND|EAI_)/,
    `does this subnet have DNS and a way to AWS? Set HTTPS_PROXY in ${file}, or create an interface endpoint with private DNS`,
  ],
  [
    /^(ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL)$/,
    `no route: an IPv6-only subnet needs dual-stack endpoints (AWS_USE_DUALSTACK_ENDPOINT=true in ${file}), others a NAT gateway, a proxy or an interface endpoint`,
  ],
  [
    /^(ETIMEDOUT|ECONNREFUSED)$/,
    'look at the route table, the security groups (also those of an interface endpoint), and whether a proxy is needed (HTTPS_PROXY)',
  ],
];

/** By OpenSSL's code. */
const tlsRemedies: [RegExp, string][] = [
  [
    /^(UNABLE_TO_GET_ISSUER_CERT(_LOCALLY)?|UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|CERT_UNTRUSTED)$/,
    `its certificate is from an unknown authority: where a proxy inspects TLS, set AWS_CA_BUNDLE to the file of its authority in ${file}`,
  ],
  [/^(CERT_HAS_EXPIRED|CERT_NOT_YET_VALID)$/, "is this machine's clock right? (timedatectl; chronyc tracking)"],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    'something else answers in its place: look at DNS, and at AWS_ENDPOINT_URL where it is set',
  ],
  [/^(EPROTO|ERR_SSL_.+)$/, 'what answers there does not speak TLS as AWS does'],
];
