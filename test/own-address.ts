/**
 * An address for a program that must be told one. A port that was free a moment ago may belong to
 * another test by then: the loopback address is this process's own, and the kernel gives no such
 * port away.
 */

import { openAddresses, type Address } from '../simulator/node/switched-server.ts';

export function ownAddress(): Address {
  return openAddresses(process.pid)(0).imds;
}
