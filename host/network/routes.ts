/**
 * Reads the kernel's routing tables to find out whether this machine has only IPv6 routes to the
 * outside.
 */

import { readFileSync } from 'node:fs';

/**
 * True on an instance of an IPv6-only subnet. The addresses cannot show it: Docker's bridge has an
 * IPv4 address there too.
 */
export function isIpv6Only(): boolean {
  return hasDefaultRoute6(read('/proc/net/ipv6_route')) && !hasDefaultRoute4(read('/proc/net/route'));
}

/** A line each: interface, destination, gateway, flags … mask, in hexadecimal. */
export function hasDefaultRoute4(table: string): boolean {
  return table.split('\n').some((line) => {
    const [name, destination, , flags, , , , mask] = line.split(/\s+/);
    return name !== 'lo' && destination === '00000000' && mask === '00000000' && isUsable(flags);
  });
}

/**
 * A line each: destination, its prefix length, source, its prefix length, next hop, metric, two
 * counters, flags, interface.
 */
export function hasDefaultRoute6(table: string): boolean {
  return table.split('\n').some((line) => {
    const [destination, prefix, , , , , , , flags, name] = line.trim().split(/\s+/);
    return name !== 'lo' && /^0{32}$/.test(destination ?? '') && prefix === '00' && isUsable(flags);
  });
}

/** The kernel's RTF_UP is set, and RTF_REJECT is not. */
function isUsable(flags: string | undefined): boolean {
  const bits = Number.parseInt(flags ?? '0', 16);
  return (bits & 0x0001) !== 0 && (bits & 0x0200) === 0;
}

/** Empty when the kernel has no such table, for example without IPv6. */
function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
