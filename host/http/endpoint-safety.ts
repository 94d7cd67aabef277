/**
 * Hosts that are reached without leaving the machine, or its link: the only ones that may be asked
 * without TLS.
 */

import { ConfigError, type Fault } from '../../core/errors.ts';
import type { Environment } from '../environment.ts';

/** `hostname` as URL has it: IPv4 normalised, IPv6 in brackets. */
export function isLoopback(hostname: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname);
}

/**
 * Where EC2 puts what belongs to one instance: its metadata service, and nothing that is routed.
 */
export function isLinkLocal(hostname: string): boolean {
  return /^(169\.254(\.\d{1,3}){2}|\[fe[89ab][0-9a-f]:[0-9a-f:]*\]|\[fd00:ec2::[0-9a-f:]+\])$/.test(hostname);
}

/**
 * Throws a ConfigError for every AWS_ENDPOINT_URL… that would send signed requests, and trust
 * answers, without TLS.
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
