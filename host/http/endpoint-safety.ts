/**
 * Distinguishes hosts on this machine or its link from all others. Only they may be called without
 * TLS.
 */

import { ConfigError, type Fault } from '../../core/errors.ts';
import type { Environment } from '../environment.ts';

/** `hostname` as in a URL: IPv4 normalised, IPv6 in brackets. */
export function isLoopback(hostname: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname);
}

/** True for the addresses of EC2's services for one instance, such as metadata. None is routed. */
export function isLinkLocal(hostname: string): boolean {
  return /^(169\.254(\.\d{1,3}){2}|\[fe[89ab][0-9a-f]:[0-9a-f:]*\]|\[fd00:ec2::[0-9a-f:]+\])$/.test(hostname);
}

/**
 * Throws a ConfigError with every AWS_ENDPOINT_URL… without TLS. A machine on the way could read
 * the signed requests, and answer in AWS's name.
 */
export function mustBeSafeEndpoints(environment: Environment): void {
  const faults = Object.entries(environment).flatMap(([name, text]): Fault[] => {
    if (!/^AWS_ENDPOINT_URL(_|$)/.test(name) || !text) return [];
    const url = URL.parse(text);
    if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))) return [];
    const found = JSON.stringify(url === null ? text.slice(0, 80) : url.origin);
    return [
      { path: name, problem: `must be an https URL (http only on loopback); found ${found}`, source: 'environment' },
    ];
  });
  if (faults.length > 0) throw new ConfigError(faults);
}
